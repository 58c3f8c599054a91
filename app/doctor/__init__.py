"""What `safelora-gate doctor` looks at. Nothing of it stays in the store or in Redis."""
