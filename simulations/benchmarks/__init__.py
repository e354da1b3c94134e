"""What is fast and what is not, measured side by side with others on equal work."""
