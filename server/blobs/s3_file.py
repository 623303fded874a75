"""A blob of S3 as a file to seek and read in; nothing is asked for before it is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO, cast

BUFFER_BYTES = 256 * 1024


class S3File(io.RawIOBase):
    """``start`` begins to read at an offset; a seek ends that and the next read begins anew."""

    def __init__(self, start: Callable[[int], Any], *, length: int) -> None:
        self._start = start
        self._length = length
        self._offset = 0
        self._body: Any = None

    @classmethod
    def open(cls, start: Callable[[int], Any], *, length: int) -> BinaryIO:
        raw = cls(start, length=length)
        return cast(BinaryIO, io.BufferedReader(raw, BUFFER_BYTES))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._length}[whence]
        if origin + offset != self._offset:
            self._stop()
            self._offset = origin + offset
        return self._offset

    def tell(self) -> int:
        return self._offset

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._length - self._offset)
        if wanted <= 0:
            return 0
        if self._body is None:
            self._body = self._start(self._offset)
        chunk = self._body.read(wanted)
        buffer[: len(chunk)] = chunk
        self._offset += len(chunk)
        return len(chunk)

    def close(self) -> None:
        self._stop()
        super().close()

    def _stop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
