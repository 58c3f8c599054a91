"""What parses a stranger's input, under a flood of it."""
