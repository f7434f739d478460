"""Checks of model plugins."""
