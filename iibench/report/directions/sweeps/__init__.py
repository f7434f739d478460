"""The part of the page that shows parameters swept over."""
