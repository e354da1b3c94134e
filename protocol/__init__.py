"""What both sides agreed on: the study file, and the records that cross the wire."""
