"""Checks of evaluation plugins."""
