"""Benchmarks: iibench and a named peer on the same inputs in the same process, alternating.

    python -m tests.benchmarks [--data DIR] [--repeat N] [--only NAME] [--out DIR]

Not part of the tests. Ratios are the result: absolute times depend on the machine and its load.
"""
