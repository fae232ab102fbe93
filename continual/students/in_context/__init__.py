"""Students of causal models that learn to use demonstrations."""
