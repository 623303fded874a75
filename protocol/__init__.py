"""What exporter, server and phone must agree on: weights, bytes, messages, plans, errors."""
