"""One phone: its sessions step by step, and what it keeps between them."""
