"""What a site does for each message of the model plane: one file per step."""
