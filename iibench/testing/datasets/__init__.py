"""Checks of dataset plugins."""
