"""How fast it is: one module for each row of the table."""
