"""The description of the server in OpenAPI 3.1, from its operations and the records they carry."""

from .document import OPERATIONS, describe

__all__ = ["OPERATIONS", "describe"]
