"""Baselines of translation: all weights of a copy of the backbone, trained by the project's own loop.

Avalanche's strategies train classifiers; of what they do, this room does over again what has a meaning for translation.
"""
