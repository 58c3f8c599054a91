"""The HTTP API held to its own OpenAPI document, by schemathesis and a real service."""
