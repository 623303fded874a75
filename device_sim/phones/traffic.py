"""What a phone's bytes were for: the model, the checkpoint, its update; the rest are messages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from ...client import Traffic


@dataclass
class Itemised(Traffic):
    """Of the bytes received, those of ``model`` (with its manifest) and of ``checkpoint``.

    Of the bytes sent, those of ``update``; whatever came of a transfer, what was moved counts.
    """

    model: int = 0
    checkpoint: int = 0
    update: int = 0

    def now(self) -> Self:
        """A copy that stays as it is."""
        return replace(self)

    def since(self, before: Itemised) -> Itemised:
        """What was moved after an earlier copy was taken."""
        return Itemised(
            up=self.up - before.up,
            down=self.down - before.down,
            model=self.model - before.model,
            checkpoint=self.checkpoint - before.checkpoint,
            update=self.update - before.update,
        )

    @contextlib.contextmanager
    def downloading(self, *, is_checkpoint: bool) -> Iterator[None]:
        """What is received meanwhile is a checkpoint, or else a part of the model."""
        before = self.down
        try:
            yield
        finally:
            if is_checkpoint:
                self.checkpoint += self.down - before
            else:
                self.model += self.down - before

    @contextlib.contextmanager
    def updating(self) -> Iterator[None]:
        """What is sent meanwhile is an update."""
        before = self.up
        try:
            yield
        finally:
            self.update += self.up - before
