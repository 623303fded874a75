"""Local training, by the phones' runtime or by TensorFlow, held against each other."""
