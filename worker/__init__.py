"""The engine and the processes that run it. No web framework."""
