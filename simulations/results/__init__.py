"""What finished runs say: loading them, comparing arms, and the report a study lead takes home."""
