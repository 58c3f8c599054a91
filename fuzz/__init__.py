"""Mutated inputs, by the hundred thousand, for everything that parses what a stranger sends.

Each input is either accepted or rejected. Anything else that comes out, over 2 s of work, or
200 MB more memory than the input's own size is a fault of ours. Run it with `python -m fuzz`.
"""
