"""Scores: the matrix of a run, the numbers made from it, their uncertainty, and the report that shows them.

Import from the modules themselves (`continual.evaluation.matrix`, ...); this package loads nothing by itself.
"""
