"""Webhooks in: an event is let in by its sender's signature, and becomes a job by its rule."""
