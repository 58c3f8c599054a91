"""Signed statements of what the gate did: an in-toto Statement in a DSSE envelope, by Ed25519."""
