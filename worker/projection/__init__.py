"""The mathematics: pure functions on tensors. Symbols follow PEFT and arXiv 2405.16833.

W (out, in) is the base weight, B (out, r) and A (r, in) the LoRA factors, s their scaling, and
V = W_aligned - W_base (out, in) the alignment matrix. No out × out matrix is ever formed.
"""
