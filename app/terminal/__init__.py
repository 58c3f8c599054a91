"""The commands of `safelora-gate`."""
