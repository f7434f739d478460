"""Named files: where they lie, how they are fetched, checked, unpacked and unpickled."""
