"""A simulation put together, from a scenario to its report."""
