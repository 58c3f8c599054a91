"""A request becomes a stored job: read, checked, agreed on, kept, queued."""
