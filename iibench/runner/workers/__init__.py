"""A run's work split into tasks, and the workers that do them."""
