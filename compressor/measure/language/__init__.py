"""Texts as tokens, windows and logits: what every question to a language model needs."""
