"""Students of encoders: what their recipes share, and one file for each recipe."""
