"""What a job costs, counted and not timed: a count is the same on a slow machine and a busy one.

A bound that a change trips is either mended or raised, with the reason beside it.
"""
