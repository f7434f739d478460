"""How alike images are under a metric: lookups, parts, embeddings, streamed and within trials."""
