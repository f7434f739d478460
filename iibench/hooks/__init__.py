"""Every hook; finding, checking and calling plugins; the user's own files, imported from their folder."""
