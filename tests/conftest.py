"""What every test shares: a quiet TensorFlow, and a collector that passes over what is imported."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_finish() -> None:
    """Every module is imported by now and stays: garbage is among what tests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
