"""What the OpenAPI document says beside what FastAPI sees: answers, examples, links."""
