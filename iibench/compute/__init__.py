"""Images, activations, responses, exemplars and similarities as functions of arrays."""
