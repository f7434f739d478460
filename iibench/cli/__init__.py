"""The `iibench` program: one file per verb."""
