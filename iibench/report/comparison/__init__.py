"""The page of two compared runs."""
