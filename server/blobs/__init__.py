"""Where bytes live: one contract, a local folder or S3 behind it."""

from __future__ import annotations

from pathlib import Path

from ...protocol.errors import ConfigError
from .contract import Blobs, Direct, ReadBytes, Reader, Staged
from .folder import FolderBlobs

__all__ = ["Blobs", "Direct", "FolderBlobs", "ReadBytes", "Reader", "Staged", "open_blobs"]


def open_blobs(location: str, *, folder: Path, presigns: bool, is_flushed: bool = True) -> Blobs:
    """The store at ``s3://bucket/prefix``, or in ``folder`` when the location is empty.

    ``presigns`` permits devices to talk to S3 by themselves. A folder that is not ``is_flushed``
    may lose to a power cut what was published. Raises ConfigError.
    """
    if not location:
        return FolderBlobs(folder / "blobs", is_flushed=is_flushed)
    try:
        # Only a server on S3 needs boto3.
        from .s3 import S3Blobs
        from .s3_place import S3Place
    except ImportError as error:
        reason = "S3 needs boto3; install pocketfed[scaled]"
        raise ConfigError("blobs", location, reason) from error
    return S3Blobs(S3Place.parse(location), folder=folder / "incoming", presigns=presigns)
