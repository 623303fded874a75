"""What operators do, and what an audit holds against the tables."""
