"""The training program: loss, gradients, optimizer, padding; traced and lowered."""
