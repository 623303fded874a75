# TensorFlow publishes no types, and those others wrote for it do not know its newest versions.
from typing import Any

def __getattr__(name: str) -> Any: ...
