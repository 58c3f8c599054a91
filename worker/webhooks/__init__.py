"""The courier's deliveries: how a job ended, told to whoever is to be told. It needs no torch."""
