"""The site's Flower processes: guarded, watched, started anew."""
