"""Pure state machines: a round and a device's place in it; no IO."""
