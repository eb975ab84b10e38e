"""Writing: an output that appears whole or not at all."""
