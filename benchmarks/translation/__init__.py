"""Translation domains one after another; see `__main__.py`."""
