"""What every test shares: TensorFlow keeps its start-up lines to itself."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
