"""Executors: where a run's work is done."""
