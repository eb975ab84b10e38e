"""Pictures of what was measured, as SVG for a page and PNG for everywhere else."""
