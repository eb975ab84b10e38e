"""Pruning as pure maths: from weights to scores, from scores to what becomes zero."""
