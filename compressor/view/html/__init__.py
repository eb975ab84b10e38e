"""The HTML page of a report: one file, no script, nothing fetched."""
