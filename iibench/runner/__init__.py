"""A run: session, execution, workers, estimate, run folder, repetition."""
