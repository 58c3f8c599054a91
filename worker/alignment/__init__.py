"""Checkpoints → alignments, and the tiers that keep alignments warm."""
