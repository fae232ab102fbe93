"""Beyond one process and beyond memory: two processes that learn one run, and a backbone that lies on disk."""
