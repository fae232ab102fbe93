"""Names of methods, tunings, metrics and all else; the registry itself lies on the data side, which has names too."""

from streams.registry import Entry, Registry, import_module, no_such, suggestion

__all__ = ["Entry", "Registry", "import_module", "no_such", "suggestion"]
