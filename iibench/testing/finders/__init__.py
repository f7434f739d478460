"""Checks of finder plugins."""
