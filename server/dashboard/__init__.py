"""Read-only pages about running studies, and their JSON twins."""
