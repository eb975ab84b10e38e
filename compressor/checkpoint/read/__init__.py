"""Reading: strict headers, what belongs to a folder, what is refused; headers first, data never."""
