"""What can be asked of a model: one file for each kind of question."""
