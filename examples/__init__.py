"""How a platform puts the gate into its pipeline; each file stands for itself."""
