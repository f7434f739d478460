"""The stages of a case, each computed once under a content key; what plugins may ask for meanwhile."""
