"""Images as pixels: how a checkpoint wants them prepared, and whether they fit."""
