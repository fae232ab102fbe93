"""Tracking of a run, and the only package that knows MLflow.

`tracker.open_tracker` gives the tracker that the settings ask for; MLflow is imported when it starts.
"""
