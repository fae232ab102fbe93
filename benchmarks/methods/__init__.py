"""All methods, modules and baselines on the same streams with the same budget: the README's table."""
