"""Scores: how much a weight matters, as unsigned integer keys; one file, one pure function each."""
