"""What left this building: a hash chain of every record, and how it is verified."""
