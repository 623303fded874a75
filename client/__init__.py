"""Both clients of the HTTP protocol: a device's, which simulated phones use, and an operator's."""

from .admin import AdminClient
from .device import DeviceClient
from .session import Session, Traffic

__all__ = ["AdminClient", "DeviceClient", "Session", "Traffic"]
