"""The reading room: physicians answer the open cases in a browser, inside the hospital."""
