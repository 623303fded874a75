"""Whom the server believes, and how often: devices, what vouches for them, limits."""
