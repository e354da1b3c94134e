"""What differential privacy costs in accuracy: `make bench-privacy`."""
