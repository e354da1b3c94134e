"""What one dishonest site of six can do, and which aggregator stops it: `make bench-attacks`."""
