"""The tiers of stored alignments, from the store to RAM."""
