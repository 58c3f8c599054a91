"""Checkpoints and what an alignment holds of them."""
