"""Several adapters of one alignment in one pass over it, next to one alone, and to all in turn."""
