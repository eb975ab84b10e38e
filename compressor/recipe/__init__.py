"""Recipes: YAML to steps that are checked before anything runs, and the runs themselves."""
