"""Every hook; finding, checking and calling plugins."""
