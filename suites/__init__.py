"""The suites that ship with iibench, as package data."""
