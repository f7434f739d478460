"""The page of a run on trials."""
