"""Reports made readable: terminal tables now; HTML and plots when a step measures."""
