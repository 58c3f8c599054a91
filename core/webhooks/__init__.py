"""Telling callers how a job ended: what is told, to whom, signed how, and what waits to be told."""
