"""One module's projection and cosine: ours, the dense way as published, the machine's limits."""
