"""Prompts that are put together for each text from several parts, some of which other tasks have trained."""
