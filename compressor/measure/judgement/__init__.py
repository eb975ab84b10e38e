"""From numbers to pass, fail or inconclusive, and to one word over all of them."""
