"""Processes: what each stands on, and the ways to start them."""
