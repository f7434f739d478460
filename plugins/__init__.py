"""The first-party plugins of iibench: every module below this package is one plugin."""
