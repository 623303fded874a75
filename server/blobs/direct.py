"""Bodies that a device puts into S3 by itself: one key per assignment, signed for one body."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from ...protocol import wire
from ...protocol.errors import DigestMismatch, PayloadTooLarge, TruncatedBody, UploadMissing
from .arrivals import Arrivals
from .contract import Offer, Staged
from .s3_place import S3Place

MAX_EXPIRY_S = 7 * 24 * 3600
_Answering = Callable[..., AbstractContextManager[None]]


@dataclass(frozen=True)
class Put(Staged):
    """A body that was read from its staging key, which still holds it."""

    copy_to: Callable[[str], None]


@dataclass(frozen=True)
class S3Direct:
    """The staging keys of a place."""

    place: S3Place
    arrivals: Arrivals
    answering: _Answering

    def offer(self, name: str, *, sha256: str, length: int, expires_s: float) -> Offer:
        """Signs length, type and checksum, so that S3 itself refuses any other body."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with self.answering():
            url = self.place.client.generate_presigned_url(
                "put_object",
                Params={
                    **self.place.at("staging", name),
                    "ContentLength": length,
                    "ContentType": wire.MEDIA_TYPE,
                    "ChecksumSHA256": checksum,
                },
                ExpiresIn=min(max(1, math.ceil(expires_s)), MAX_EXPIRY_S),
            )
        headers = {
            "Content-Type": wire.MEDIA_TYPE,
            "Content-Length": str(length),
            "x-amz-checksum-sha256": checksum,
        }
        return Offer(url=url, headers=headers)

    @contextmanager
    def fetch(self, name: str, *, sha256: str, length: int) -> Iterator[Staged]:
        """Asks S3 what it holds, then reads it: that a store has kept a checksum is not enough."""
        at = self.place.at("staging", name)
        try:
            with self.answering(name):
                head = self.place.client.head_object(**at, ChecksumMode="ENABLED")
                _require_announced(head, sha256=sha256, length=length)
                answer = self.place.client.get_object(**at, IfMatch=head["ETag"])
        except FileNotFoundError as error:
            raise UploadMissing(
                "nothing was put at the address of the upload instruction; put the body first"
            ) from error

        def read(size: int) -> bytes:
            with self.answering():
                return bytes(answer["Body"].read(size))

        with answer["Body"], self.arrivals.stage(read, length=length) as staged:
            copy = self._copier(at, head["ETag"])
            yield Put(staged.path, staged.sha256, staged.bytes, copy)

    def drop(self, name: str) -> None:
        with self.answering():
            self.place.client.delete_object(**self.place.at("staging", name))

    def _copier(self, source: dict[str, str], tag: str) -> Callable[[str], None]:
        """Copies the very version that was read."""

        def copy_to(key: str) -> None:
            with self.answering():
                self.place.client.copy_object(
                    Bucket=self.place.bucket, Key=key, CopySource=source, CopySourceIfMatch=tag
                )

        return copy_to


def _require_announced(head: Any, *, sha256: str, length: int) -> None:
    """Raises unless length and checksum are the announced ones; some stores keep no checksum."""
    got = head["ContentLength"]
    if got < length:
        raise TruncatedBody(f"{got} bytes were put, expected {length}; send the whole body again")
    if got > length:
        raise PayloadTooLarge(f"{got} bytes were put, announced were {length}")
    checksum = head.get("ChecksumSHA256")
    if checksum is not None and base64.b64decode(checksum).hex() != sha256:
        raise DigestMismatch(f"the checksum of what was put is {checksum}, not the announced one")
