"""What the documentation shows is what happens: its sessions are run."""
