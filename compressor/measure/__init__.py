"""Accuracy, distance to dense, speed, and what can be concluded from them."""
