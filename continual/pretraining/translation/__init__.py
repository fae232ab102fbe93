"""Pretraining a small translation model from scratch: pool, vocabulary, model, objectives, scores."""
