"""The part of the page that shows what analyses found."""
