"""Benchmarks: iibench and a named peer on the same inputs, alternating, each in a process of its own.

    python -m tests.benchmarks [--only ROWS] [--repeat N] [--out DIR] [--quick]
    python -m tests.benchmarks.scaling [--only STAGES] [--out DIR] [--quick]

Not part of the tests. Ratios are the result: absolute times depend on the machine and its load.
"""
