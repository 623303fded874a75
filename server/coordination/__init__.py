"""What moves rounds on: deadlines, sums, what follows them, and what may go."""
