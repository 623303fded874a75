"""Prepared statements: what requests ask again and again, spelled once and run by the driver.

SQLAlchemy builds every statement and spells it for each database. Running one through it takes
some 0.1 ms, several times the driver's own work, and a check-in asks ten: those that requests
depend on go straight to the driver. The names of their parameters must be those of no column they
compare.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Connection, Dialect, Executable


class Spelling(NamedTuple):
    """A statement as one database wants it, with the values that are part of it."""

    sql: str
    constants: Mapping[str, Any]
    make_row: Callable[[Sequence[Any]], Any] | None


class Prepared:
    """A statement of which each spelling is kept: per database and per set of given values."""

    def __init__(self, statement: Executable) -> None:
        self._statement: Any = statement
        self._spellings: dict[tuple[str, tuple[str, ...]], Spelling] = {}

    def run(self, connection: Connection, values: Mapping[str, object]) -> Outcome:
        """Runs the statement within the connection's transaction; raises the driver's errors."""
        key = (connection.dialect.name, tuple(values))
        spelling = self._spellings.get(key)
        if spelling is None:
            spelling = self._spellings[key] = self._spell(connection.dialect, list(values))
        cursor = connection.connection.cursor()
        cursor.execute(spelling.sql, {**spelling.constants, **values})
        return Outcome(cursor, spelling.make_row)

    def _spell(self, dialect: Dialect, names: list[str]) -> Spelling:
        compiled = self._statement.compile(dialect=dialect, column_keys=names)
        constants = {name: value for name, value in compiled.params.items() if name not in names}
        return Spelling(str(compiled), constants, self._row_of(dialect))

    def _row_of(self, dialect: Dialect) -> Callable[[Sequence[Any]], Any] | None:
        """How a row is made of what the driver gives; None when nothing is asked for."""
        columns = self._statement.exported_columns
        if not columns:
            return None
        row: Any = namedtuple("Row", columns.keys())  # type: ignore[misc]
        booleans = [at for at, column in enumerate(columns) if isinstance(column.type, Boolean)]
        return partial(_as_booleans, row, booleans) if booleans else row._make


def _as_booleans(row: Any, booleans: Sequence[int], cells: Sequence[Any]) -> Any:
    """SQLite keeps them as numbers."""
    converted = [*cells]
    for at in booleans:
        converted[at] = None if cells[at] is None else bool(cells[at])
    return row._make(converted)


class Outcome(NamedTuple):
    """What a statement that was run has left at the driver."""

    cursor: Any
    make_row: Callable[[Sequence[Any]], Any] | None

    @property
    def rowcount(self) -> int:
        return int(self.cursor.rowcount)

    def all(self) -> list[Any]:
        return [*map(self.make_row, self.cursor.fetchall())] if self.make_row else []

    def one_or_none(self) -> Any | None:
        """The only row there is; raises LookupError when there are more."""
        rows = self.all()
        if len(rows) > 1:
            raise LookupError(f"expected one row at most, got {len(rows)}")
        return rows[0] if rows else None

    def one(self) -> Any:
        """The row of a question that always has one; raises LookupError when it has none."""
        row = self.one_or_none()
        if row is None:
            raise LookupError("expected one row, got none")
        return row
