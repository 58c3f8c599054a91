"""What the service around a job costs, next to a job that does nothing."""
