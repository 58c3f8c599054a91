"""What the speed benchmarks share: the clock, the machine's own limits, tables and their JSON."""
