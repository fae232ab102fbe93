"""One program for each claim; results are committed as JSON in `benchmarks/results`."""
