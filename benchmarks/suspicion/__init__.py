"""Signs that an adapter attacks the method itself, measured on benign and hostile adapters."""
