"""Whether sanitizing an adapter works: attacks on a language model, and what is left of them."""
