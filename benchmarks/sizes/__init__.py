"""What alignments of well-known models take, from checkpoints that hold headers and no weights."""
