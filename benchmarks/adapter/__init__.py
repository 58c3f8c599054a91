"""How long sanitizing an adapter takes next to what its alignment's bytes cost at the least."""
