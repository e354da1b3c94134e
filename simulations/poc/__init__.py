"""A whole federation of real processes on one machine, under one folder."""
