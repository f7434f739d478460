"""What plugins of several kinds share; no plugin."""
