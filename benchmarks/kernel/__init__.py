"""One module's projection and cosine: ours, the dense way as published, and what the machine gives."""
