"""The site's database: one SQLite file, every answer kept, every step remembered."""
