"""From a round's deltas to the next checkpoint, to the same bits in any order."""
