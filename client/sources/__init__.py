"""Where a hospital keeps its cases: one module per kind of source, read in a child on demand."""
