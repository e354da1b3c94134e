"""`wardround-site demo`: one site alone selects, reads and trains in cycles, on this machine."""
