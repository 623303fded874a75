# Keras annotates some arguments with their defaults' types only, which others may not have.
from typing import Any

def __getattr__(name: str) -> Any: ...
