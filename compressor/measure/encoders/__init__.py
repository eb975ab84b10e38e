"""Texts as vectors: chains of modules, pooling, and reading in batches of like length."""
