"""What README and docs show of the results."""
