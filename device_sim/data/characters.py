"""Characters: text as numbers, and the sequences from which a model learns the next one.

There are 90, as many as the zoo's ``char_lstm`` knows: three marks, then those of ALPHABET.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .examples import Examples

ALPHABET = "\n " + string.ascii_letters + string.digits + "!\"#$%&'()*,-./:;?@[]_{}"
NOTHING, BEGIN, OTHER = range(3)
CHARACTERS = 3 + len(ALPHABET)
LENGTH = 80

_TYPESET = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "–": "-", "æ": "ae", "Æ": "Ae", "œ": "oe"}
)
_NUMBERS = {letter: number for number, letter in enumerate(ALPHABET, start=3)}


def encoded(lines: Sequence[str]) -> npt.NDArray[np.int32]:
    """The characters of some lines, each ended, as numbers; OTHER for what ALPHABET lacks."""
    text = "".join(line + "\n" for line in lines).translate(_TYPESET)
    return np.array([_NUMBERS.get(letter, OTHER) for letter in text], np.int32)


def sequences(numbers: npt.NDArray[np.int32], *, length: int = LENGTH) -> Examples:
    """Cuts a text into examples: each character is to be told from those before it.

    ``y`` is the text, ``x`` the text one place later, beginning with BEGIN. The last sequence
    reaches back into the one before, so that it is full too; a text that is shorter than one ends
    in NOTHING.
    """
    missing = max(0, length - len(numbers))
    text = np.concatenate([[BEGIN], numbers, np.full(missing, NOTHING)]).astype(np.int32)
    last = len(text) - 1 - length
    begins = np.minimum(np.arange(0, last + length, length), last)
    places = begins[:, None] + np.arange(length)
    return Examples(text[places], text[places + 1])
