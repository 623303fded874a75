"""Writers of SQLite who come at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from pocketfed.protocol.errors import Unavailable
from pocketfed.server.store import Store, file_url
from pocketfed.server.store.convoy import MOST_WRITERS
from sqlalchemy import event
from sqlalchemy.pool import Pool

PATIENCE_S = 20


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    store = Store.open(file_url(tmp_path / "convoy.sqlite3"), connections=4)
    yield store
    store.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MOST_WRITERS + 4) as pool:
        yield pool


@contextmanager
def commits() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            seen.append(statement)

    def listen(connection, record, proxy) -> None:
        connection.set_trace_callback(note)

    event.listen(Pool, "checkout", listen)
    try:
        yield seen
    finally:
        event.remove(Pool, "checkout", listen)


def keep(store: Store, name: str, *, then: Callable[[], object] = lambda: None) -> None:
    with store.write() as tx:
        tx.add_deposit(sha256=name, length=1, now=0.0)
        then()


def kept(store: Store) -> set[str]:
    with store.read() as view:
        return {name for name in map(str, range(100)) if view.deposit_bytes(name) is not None}


def wait_for(store: Store, waiting: int) -> None:
    """Until so many writers wait for the one that has its turn."""
    convoy = store._dialect.write.__self__  # type: ignore[attr-defined]
    ended = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if convoy._waiting == waiting:
            return
        ended.wait(0.01)
    raise AssertionError(f"{convoy._waiting} writers wait, not {waiting}")


def together(
    store: Store, pool: ThreadPoolExecutor, *others: Callable[[], None]
) -> list[Future[None]]:
    """Starts the others while a writer called 0 has its turn; they wait until it is done."""

    def start() -> None:
        started.extend(pool.submit(other) for other in others)
        wait_for(store, len(others))

    started: list[Future[None]] = []
    started.append(pool.submit(keep, store, "0", then=start))
    started[0].result(PATIENCE_S)
    return started


def test_a_writer_that_is_alone_commits_for_itself(store) -> None:
    with commits() as seen:
        keep(store, "1")
        keep(store, "2")
    assert len(seen) == 2


def test_writers_that_wait_for_their_turn_share_one_commit(store, pool) -> None:
    with commits() as seen:
        for writer in together(store, pool, *(lambda n=n: keep(store, str(n)) for n in (1, 2, 3))):
            writer.result(PATIENCE_S)
    assert len(seen) == 1
    assert kept(store) == {"0", "1", "2", "3"}


def test_nobody_returns_before_the_commit_of_all(store, pool) -> None:
    seen_within: list[set[str]] = []
    returned = threading.Event()

    def last() -> None:
        keep(
            store,
            "1",
            then=lambda: seen_within.append({"returned"} if returned.is_set() else set()),
        )

    def start() -> None:
        other.append(pool.submit(last))
        wait_for(store, 1)

    other: list[Future[None]] = []
    keep(store, "0", then=start)
    returned.set()
    other[0].result(PATIENCE_S)
    assert seen_within == [set()]


def test_what_a_writer_did_that_failed_is_undone_alone(store, pool) -> None:
    def fail() -> None:
        raise ValueError("not this one")

    writers = together(store, pool, lambda: keep(store, "1", then=fail), lambda: keep(store, "2"))
    with pytest.raises(ValueError, match="not this one"):
        writers[1].result(PATIENCE_S)
    writers[2].result(PATIENCE_S)
    assert kept(store) == {"0", "2"}


def test_when_all_is_rolled_back_every_writer_hears_it(store, pool) -> None:
    """As SQLite does by itself when the disk is full."""

    def roll_back() -> None:
        with store.write() as tx:
            tx._connection.connection.dbapi_connection.execute("ROLLBACK")

    def start() -> None:
        other.append(pool.submit(roll_back))
        wait_for(store, 1)

    other: list[Future[None]] = []
    with pytest.raises(Unavailable):
        keep(store, "0", then=start)
    with pytest.raises(Unavailable):
        other[0].result(PATIENCE_S)
    assert kept(store) == set()
    keep(store, "1")
    assert kept(store) == {"1"}


def test_no_more_than_so_many_writers_wait_for_one_commit(store, pool) -> None:
    names = [str(n) for n in range(1, MOST_WRITERS + 2)]
    with commits() as seen:
        for writer in together(store, pool, *(lambda n=n: keep(store, n) for n in names)):
            writer.result(PATIENCE_S)
    assert len(seen) == 2
    assert kept(store) == {"0", *names}
