"""Decisions as small pure pieces: which case, how many, whose average, whose word, when to stop."""
