"""What an upload of 2 GB takes of the API's memory, and when a wrong header is refused."""
