"""Two APIs and up to four workers, each with a disk of its own, on one Valkey and one S3."""
