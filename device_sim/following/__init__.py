"""What is seen of a run while it goes on: rounds, sessions, who takes part."""
