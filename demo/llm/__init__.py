"""A real language model, attacked and sanitized: what `make demo-llm` runs."""
