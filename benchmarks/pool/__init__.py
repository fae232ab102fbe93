"""A pool of a hundred thousand prompts with a million keys: searched, opened, added to, learned against."""
