"""Checks of metric plugins."""
