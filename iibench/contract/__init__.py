"""What plugins and iibench agree on: specs, inputs, results, errors and options of a run."""
