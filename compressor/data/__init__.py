"""Data sets: from `SPEC` to rows, whatever their format."""
