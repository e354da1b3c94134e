"""For other tools: pool, readings and labels as CSV or datalist, and labels that come back."""
