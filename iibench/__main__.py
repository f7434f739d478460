"""`python -m iibench` is the `iibench` program."""

from iibench.cli.main import main

main()
