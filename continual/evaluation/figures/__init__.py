"""The figures of the report as plain data: positions, colours and words, ready for the templates to draw."""
