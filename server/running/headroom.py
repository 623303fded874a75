"""Headroom: how much room the disk has left, and whether that is too little to begin with more."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..blobs.disk import answering_disk


@dataclass(frozen=True, kw_only=True)
class Headroom:
    """The low-water mark of the disks under ``folders``; 0 bytes means none."""

    folders: tuple[Path, ...]
    min_free_bytes: int

    @property
    def free_bytes(self) -> int:
        """What is left on the fullest of the disks."""
        with answering_disk():
            return min(shutil.disk_usage(folder).free for folder in self.folders)

    @property
    def is_low(self) -> bool:
        """Whether no further place should be given; one that was given is still honoured."""
        return self.min_free_bytes > 0 and self.free_bytes < self.min_free_bytes
