"""Roles: who says what in a play, read from its text.

A speech is a paragraph that begins with a line of its own naming the speaker, such as ``HAMLET.``,
``Lady Capulet.`` or ``THESEUS``; it lasts until the next speaker, across stage directions. This is
how Project Gutenberg's editions of single plays, and its newer one of all of them, are laid out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# An upright name, or capitalised words with a full stop; never a whole sentence.
_SPEAKER = re.compile(
    r"(?P<upright>[A-Z][A-Z0-9 ,'’&-]*[A-Z0-9]\.?)"
    r"|(?P<mixed>[A-Z][a-z'’]+(?: (?:of|and|the|to|a|[A-Z0-9][a-z'’]*\.?|\d)){0,3})\."
)
_LONGEST_NAME = 36
# One that is never closed ends with its line, and none goes on across a blank line.
_DIRECTION = re.compile(r"\[(?:[^\[\]\n]|\n(?![ \t]*\n))*\]|\[[^\]\n]*$", re.MULTILINE)
_HEADING = re.compile(
    r"(?:ACT|SCENE|PROLOGUE|EPILOGUE|INDUCTION|ACTUS|SCAENA|DRAMATIS|PERSONS|THE END|FINIS)\b"
    r"|(?:Act|Scene) [IVX\d]|[IVXLC]+\.?$"
)
_ACT = re.compile(r"^ *(?:ACT|SCENE)\b", re.MULTILINE | re.IGNORECASE)
_FIRST_ACT = re.compile(r"^ *ACT (?:I|1|FIRST)\b.*$", re.MULTILINE | re.IGNORECASE)
_ENTRANCE = re.compile(r" *(?:Re-)?(?:Enter|Exit|Exeunt|Flourish|Alarum|Sound|Scene)\b")
_LICENCE = re.compile(r"\*\*\* ?(?:START|END) OF")


@dataclass
class Role:
    """One speaker of one play, and the lines spoken, in the order of the play."""

    play: str
    speaker: str
    lines: list[str] = field(default_factory=list)


def roles_of(play: str, text: str) -> list[Role]:
    """Everyone who speaks in a play, in the order of the first word; nobody in a poem."""
    if not _ACT.search(text):
        return []
    found: dict[str, Role] = {}
    speaking: Role | None = None
    for paragraph in _paragraphs(text):
        first, *rest = paragraph
        name = _speaker(first, alone=not rest)
        if _HEADING.match(first) or _LICENCE.match(first):
            speaking = None
        elif name:
            speaking = found.setdefault(name, Role(play, name))
            speaking.lines += rest
        elif first.isupper() and not rest:
            speaking = None
        elif speaking is not None and not _ENTRANCE.match(first):
            speaking.lines += paragraph
    return list(found.values())


def plays_in(text: str) -> Iterator[str]:
    """The plays of a text, each from its first act on; the whole text where there is only one."""
    begins = [match.start() for match in _FIRST_ACT.finditer(text)]
    if len(begins) < 2:
        yield text
        return
    for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
        yield text[begin:end]


def _paragraphs(text: str) -> Iterator[list[str]]:
    """Runs of lines that are not blank, without stage directions, spaces drawn together."""
    without = _DIRECTION.sub("", text.replace("\r", "").replace("_", ""))
    for block in re.split(r"\n[ \t]*\n", without):
        lines = [" ".join(line.split()) for line in block.split("\n")]
        lines = [line for line in lines if line]
        if lines:
            yield lines


def _speaker(line: str, *, alone: bool) -> str | None:
    """The name in a line that holds nothing else, in capitals.

    What stands alone is speech, or the title of something, unless it is in capitals and ends in a
    full stop.
    """
    if len(line) > _LONGEST_NAME or (alone and not (line.isupper() and line.endswith("."))):
        return None
    return line.removesuffix(".").upper() if _SPEAKER.fullmatch(line) else None
