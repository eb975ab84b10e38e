"""What a checkpoint's model is: which tensors a step may touch, and if its config fits them."""
