"""The explorer of single units: its data, its page and its thumbnails."""
