"""What devices do: check in for a place, report, upload; and when they come back."""
