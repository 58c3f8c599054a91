"""Whether what is here can be released: `make release-check`."""
