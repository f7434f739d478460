"""One site of many runs."""
