"""The page at `/`: for people in a browser. Its scripts ask the API that everyone asks."""
