"""What a study spends of the patients' privacy here: how it is protected, counted and refused."""
