"""The mathematics on a GPU: `python -m benchmarks.gpu`, with no package of others but torch."""
