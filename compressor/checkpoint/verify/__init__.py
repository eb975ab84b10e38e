"""Verifying: whether a folder is what its manifest says, without torch."""
