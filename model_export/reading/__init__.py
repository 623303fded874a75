"""What a Keras model holds, which of its weights train, and the way back into it."""
