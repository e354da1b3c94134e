"""The coordination service: one open stream per site, over which sites tell and are told."""
