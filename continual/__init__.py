"""Continual learning for streaming text tasks."""
