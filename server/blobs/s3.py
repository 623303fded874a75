"""Blobs in S3, or in any store that speaks its protocol.

::

    PREFIX/blobs/SHA256        published
    PREFIX/staging/ASSIGNMENT  put by a device itself, not yet checked

A blob is overwritten rather than created on condition: its name says what it holds, the write heals
a damaged one, and its age begins anew.
"""

from __future__ import annotations

import base64
import email.utils
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from ...protocol.errors import Unavailable
from .arrivals import Arrivals
from .contract import ReadBytes, Staged
from .direct import Put, S3Direct
from .disk import answering_arrival, answering_disk
from .s3_file import S3File
from .s3_place import S3Place

LINK_S = 900
CACHE_CONTROL = "private, max-age=31536000, immutable"
_AT_ONCE = 1000  # as many keys as S3 lists or deletes in one request


@dataclass(frozen=True)
class S3Reader:
    """Reads the blobs of a place."""

    place: S3Place

    def read(self, sha256: str) -> bytes:
        with answering(sha256):
            answer = self.place.client.get_object(**self.place.at("blobs", sha256))
            return cast(bytes, answer["Body"].read())


class S3Blobs:
    """The blobs of a place; bodies that come to this server arrive in a local folder."""

    def __init__(self, place: S3Place, *, folder: Path, presigns: bool) -> None:
        self._place = place
        self._presigns = presigns
        self._arrivals = Arrivals(folder, is_flushed=False)
        with answering():
            self._client = place.client
        self.direct = S3Direct(place, self._arrivals, answering) if presigns else None

    def stage(self, read: ReadBytes, *, length: int) -> AbstractContextManager[Staged]:
        return self._arrivals.stage(read, length=length)

    def prepare(self, staged: Staged) -> None:
        """Transfers the bytes; a body that a device has put itself is copied within S3."""
        if isinstance(staged, Put):
            staged.copy_to(self._place.key("blobs", staged.sha256))
            return
        digest = base64.b64encode(bytes.fromhex(staged.sha256)).decode()
        with answering_arrival(), staged.path.open("rb") as body, answering():
            self._client.put_object(
                **self._place.at("blobs", staged.sha256),
                Body=body,
                ContentLength=staged.bytes,
                ChecksumSHA256=digest,
                CacheControl=CACHE_CONTROL,
            )

    def publish(self, staged: Staged) -> None:
        """Makes sure of what was prepared: a sweep may have come between."""
        if self._length(staged.sha256) != staged.bytes:
            self.prepare(staged)

    def read(self, sha256: str) -> bytes:
        return self.reader().read(sha256)

    def open(self, sha256: str) -> BinaryIO:
        length = self._length(sha256)
        if length is None:
            raise FileNotFoundError(sha256)
        return S3File.open(self._ranged(sha256), length=length)

    def link(self, sha256: str) -> str | None:
        if not self._presigns:
            return None
        with answering():
            return cast(
                str,
                self._client.generate_presigned_url(
                    "get_object", Params=self._place.at("blobs", sha256), ExpiresIn=LINK_S
                ),
            )

    def reader(self) -> S3Reader:
        return S3Reader(self._place)

    def remove(self, *sha256: str) -> None:
        self._delete(self._place.key("blobs", name) for name in sha256)

    def names(self, *, older_than_s: float) -> Iterator[str]:
        for key in self._keys("blobs", older_than_s):
            yield key.rpartition("/")[2]

    def drop_arrivals(self, *, older_than_s: float) -> None:
        with answering_disk():
            self._arrivals.drop(older_than_s=older_than_s)
        self._delete(self._keys("staging", older_than_s))

    def require_ready(self) -> None:
        with answering():
            self._client.head_bucket(Bucket=self._place.bucket)

    def _length(self, sha256: str) -> int | None:
        try:
            with answering(sha256):
                head = self._client.head_object(**self._place.at("blobs", sha256))
        except FileNotFoundError:
            return None
        return int(head["ContentLength"])

    def _ranged(self, sha256: str) -> Any:
        def start(offset: int) -> Any:
            with answering(sha256):
                place = self._place.at("blobs", sha256)
                return self._client.get_object(**place, Range=f"bytes={offset}-")["Body"]

        return start

    def _keys(self, kind: str, older_than_s: float) -> Iterator[str]:
        """Keys of this age: S3's own clock says when they were written and what time it is."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._place.bucket,
            Prefix=self._place.key(kind, "") + "/",
            PaginationConfig={"PageSize": _AT_ONCE},
        )
        with answering():
            for page in pages:
                date = page["ResponseMetadata"]["HTTPHeaders"]["date"]
                now = email.utils.parsedate_to_datetime(date)
                for found in page.get("Contents", []):
                    if (now - found["LastModified"]).total_seconds() >= older_than_s:
                        yield found["Key"]

    def _delete(self, keys: Iterable[str]) -> None:
        rest = iter(keys)
        while batch := [{"Key": key} for key in islice(rest, _AT_ONCE)]:
            with answering():
                answer = self._client.delete_objects(
                    Bucket=self._place.bucket, Delete={"Objects": batch, "Quiet": True}
                )
            if refused := answer.get("Errors"):
                raise _failed(str(refused[0].get("Code")))


@contextmanager
def answering(name: str = "") -> Iterator[None]:
    """Turns an error of the object store into Unavailable, a missing ``name`` into what it is."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if name and code in ("404", "NoSuchKey"):
            raise FileNotFoundError(name) from error
        raise _failed(code) from error
    except BotoCoreError as error:
        raise _failed(type(error).__name__) from error


def _failed(reason: str) -> Unavailable:
    return Unavailable(f"the server's object store failed ({reason}); try again later")
