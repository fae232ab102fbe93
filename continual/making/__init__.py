"""Models that are made by recipes: composed settings, a folder for each model, kill and resume, tracking.

What a command such as `continual pretrain` or `continual distil` needs and no recipe should have to know.
"""
