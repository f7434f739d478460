"""The page of a run on directions."""
