"""That an artifact trains as Keras does: golden vectors, checks on the runtimes, the op lint."""
