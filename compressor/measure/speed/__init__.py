"""Speed: fresh processes, one for each model, taking turns."""
