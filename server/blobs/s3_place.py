"""A place in S3: a bucket, a prefix in it, and this process's connection to the store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from boto3.session import Session
from botocore.config import Config

from ...protocol.errors import ConfigError

# At most three tries of 5 s + 20 s: a phone that waits gives up after half a minute.
_MANNERS = Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=20,
    retries={"total_max_attempts": 3, "mode": "standard"},
    max_pool_connections=32,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@dataclass(frozen=True)
class S3Place:
    """A bucket and the prefix of all names in it; credentials are boto3's own business."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, location: str) -> S3Place:
        """Reads ``s3://bucket/prefix``; raises ConfigError."""
        scheme, _, rest = location.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise ConfigError("blobs", location, "expected s3://bucket/prefix, or nothing")
        return cls(bucket, prefix.strip("/"))

    def key(self, kind: str, name: str) -> str:
        return "/".join(part for part in (self.prefix, kind, name) if part)

    def at(self, kind: str, name: str) -> dict[str, str]:
        """The arguments that name one object."""
        return {"Bucket": self.bucket, "Key": self.key(kind, name)}

    @property
    def client(self) -> Any:
        """The client of this process: a connection does not survive a fork."""
        return _client(os.getpid())


@lru_cache(maxsize=1)
def _client(process: int) -> Any:
    return Session().client("s3", config=_MANNERS)
