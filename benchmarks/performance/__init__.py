"""docs/performance.md, from what the speed benchmarks kept."""
