"""How fast it is: one module for each group of rows of the table."""

SAVING, PROMPT = "saving alone: ", "kind of prompt: "
"""What the names of rows begin with that have tables of their own."""
