"""The methods a policy can name, compared: what each leaves, loads and takes."""
