"""A YAML file as a checked suite, and a suite as cases; labels, and the registry of names."""
