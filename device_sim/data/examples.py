"""Examples: what a phone trains on, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...protocol.artifact import InputScale


@dataclass(frozen=True)
class Examples:
    """Inputs ``x`` and their labels ``y``, int32, one row of each for an example.

    Images are uint8 [n, height, width] with labels [n]; sequences are int32 [n, length] with a
    label for every place, [n, length].
    """

    x: npt.NDArray[np.integer]
    y: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: npt.NDArray[np.integer]) -> Examples:
        """The examples at ``indices``, in that order."""
        return Examples(self.x[indices], self.y[indices])

    def inputs(self, scale: InputScale) -> npt.NDArray[Any]:
        """The inputs as a model wants them: images scaled, float32; sequences as they are."""
        if self.x.dtype != np.uint8:
            return self.x
        return (self.x - np.float32(scale.offset)) * np.float32(scale.scale)


def joined(each: list[Examples]) -> Examples:
    """The examples of several owners, one after the other."""
    return Examples(
        np.concatenate([one.x for one in each]), np.concatenate([one.y for one in each])
    )
