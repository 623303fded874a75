"""What every subject of the store rests on: a connection, and the history of all transitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Table,
    bindparam,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from ...protocol.errors import Unavailable
from .dialects import POSTGRESQL
from .prepared import Prepared
from .tables import history

Statement = Executable | Prepared

# The two dialects spell an insert that may meet its own row alike, each for itself.
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

_OF_ENTITY = (history.c.entity == bindparam("of")) & (history.c.entity_id == bindparam("of_id"))
_NOTE = Prepared(
    insert(history).values(
        entity=bindparam("of"),
        entity_id=bindparam("of_id"),
        seq=select(func.coalesce(func.max(history.c.seq), 0) + 1)
        .where(_OF_ENTITY)
        .scalar_subquery(),
    )
)


def is_one_of(column: ColumnElement[str], words: Iterable[str]) -> ColumnElement[bool]:
    """What ``column.in_`` says; a list is written out anew each time a statement runs."""
    return or_(*(column == word for word in sorted(words)))


@lru_cache
def _upsert(dialect: str, table: Table, keys: tuple[str, ...]) -> Prepared:
    query = _INSERTS[dialect](table)
    changed = {
        column.name: query.excluded[column.name] for column in table.c if column.name not in keys
    }
    return Prepared(query.on_conflict_do_update(index_elements=keys, set_=changed))


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Something has changed its state; ``about`` names what it belongs to."""

    entity: str
    entity_id: str
    state: str
    reason: str | None
    at: float
    about: Mapping[str, object]


class Connected:
    """Asks within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _the(self, query: Statement, **values: object) -> Any:
        return self._execute(query, values).one()

    def _one(self, query: Statement, **values: object) -> Any | None:
        return self._execute(query, values).one_or_none()

    def _all(self, query: Statement, **values: object) -> Sequence[Any]:
        rows: Sequence[Any] = self._execute(query, values).all()
        return rows

    def _execute(self, statement: Statement, values: Mapping[str, object]) -> Any:
        if isinstance(statement, Prepared):
            return statement.run(self._connection, values)
        return self._connection.execute(statement, values)


class Historian(Connected):
    """Changes within one transaction; every change of a state leaves a history row.

    ``transitions`` are those of this transaction, which has not happened until it is committed.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.transitions: list[Transition] = []

    @property
    def is_alone(self) -> bool:
        """Whether nobody else can write before this transaction ends: on SQLite."""
        return self._connection.dialect.name != POSTGRESQL

    def _run(self, statement: Statement, **values: object) -> None:
        self._execute(statement, values)

    def _put(self, table: Table, keys: dict[str, object], values: dict[str, object]) -> None:
        """Inserts a whole row, or changes the one that has these keys."""
        statement = _upsert(self._connection.dialect.name, table, tuple(keys))
        self._run(statement, **keys, **values)

    def _swap(self, statement: Statement, **values: object) -> None:
        """Runs a compare-and-set: exactly one row must still be what it was."""
        if self._execute(statement, values).rowcount != 1:
            raise Unavailable("another writer was faster; try again", retry_after_s=5.0)

    def _note(
        self,
        entity: str,
        entity_id: int | str,
        state: str,
        *,
        now: float,
        reason: str | None = None,
        about: Mapping[str, object] | None = None,
    ) -> None:
        noted = Transition(
            entity=entity,
            entity_id=str(entity_id),
            state=str(state),
            reason=reason,
            at=now,
            about=about or {},
        )
        self.transitions.append(noted)
        values = {
            "of": entity,
            "of_id": str(entity_id),
            "state": state,
            "reason": reason,
            "at": now,
        }
        self._run(_NOTE, **values)
