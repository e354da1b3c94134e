"""The site's end of the coordination stream."""
