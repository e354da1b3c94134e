"""How many labels does a strategy need: the label-efficiency benchmark, `make bench-labels`."""
