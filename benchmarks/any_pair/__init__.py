"""What sanitizing does to adapters of any pair of checkpoints, on prompts of one's own."""
