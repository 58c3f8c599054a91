"""The HTTP API, a router a resource."""
