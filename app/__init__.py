"""The front ends: HTTP, web page, terminal."""
