"""Who is let in, how much they may ask for, and what is written down of it."""
