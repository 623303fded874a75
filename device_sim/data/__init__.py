"""The data of a fleet: sets of examples, where they come from, and ways to share them out."""
