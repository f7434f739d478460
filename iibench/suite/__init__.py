"""A YAML file -> a checked suite -> cases; labels, parameters, and the registry of names that it may use."""
