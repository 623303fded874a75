"""What every process of a server stands on: the data folder, the database, blobs, a coordinator."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..blobs import Blobs, open_blobs
from ..config import Config
from ..coordination.coordinator import ALONE, Coordinator
from ..coordination.sweeper import Sweeper
from ..store import Store, file_url
from ..trust.seals import Seals
from ..watch import logs
from .folder import DataFolder
from .headroom import Headroom

if TYPE_CHECKING:
    from ..watch.metrics import Metrics
from ..folding.workers import workers_of

DATABASE = "pocketfed.sqlite3"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The parts that the use cases share. All time is from ``clock``, all ids from ``entropy``."""

    folder: DataFolder
    store: Store
    blobs: Blobs
    coordinator: Coordinator
    seals: Seals
    headroom: Headroom
    metrics: Metrics
    admin_token: str
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]


def stand_on(
    config: Config,
    *,
    clock: Callable[[], float],
    entropy: Callable[[int], bytes],
    timer: Callable[[], float] = time.perf_counter,
    is_flushed: bool = True,
    resources: ExitStack,
) -> Ground:
    """Opens all of it; ``resources`` closes it. Raises ConfigError or Unavailable.

    Without ``is_flushed`` the local disk may lose to a power cut what was acknowledged.
    """
    from ..watch.metrics import Metrics  # not before a launcher has said whom to count with
    from ..watch.state import State

    folder = DataFolder.claim(config.data_dir, is_shared=config.is_scaled)
    resources.callback(folder.release)
    store = _opened(config, folder, is_flushed=is_flushed, resources=resources)
    store.notice = logs.log_transitions
    metrics = Metrics(State(store, folder=folder.path, clock=clock), timer=timer)
    blobs = open_blobs(
        config.blobs, folder=folder.path, presigns=config.presign, is_flushed=is_flushed
    )
    sweeper = Sweeper(store, blobs, every_s=config.sweep_s, keep_updates_s=config.keep_updates_s)
    if config.coordinator != "none":
        sweeper.run(clock())
    coordinator = Coordinator(
        store,
        blobs,
        sweeper=sweeper,
        workers=workers_of(config.fold, scratch=folder.path),
        clock=clock,
        is_inline=config.coordinator == "inline",
        owner=entropy(8).hex() if config.is_scaled else ALONE,
        lease_s=config.lease_s,
        measure_fold=metrics.fold,
    )
    return Ground(
        folder=folder,
        store=store,
        blobs=blobs,
        coordinator=coordinator,
        seals=_seals(store, entropy),
        headroom=_headroom(folder, config),
        metrics=metrics,
        admin_token=config.admin_token or folder.admin_token(entropy),
        clock=clock,
        entropy=entropy,
    )


def _opened(config: Config, folder: DataFolder, *, is_flushed: bool, resources: ExitStack) -> Store:
    """The database, in the data folder unless the settings name another."""
    url = config.database or file_url(folder.path / DATABASE)
    store = Store.open(url, connections=config.threads + 1, is_flushed=is_flushed)
    resources.callback(store.close)
    return store


def _seals(store: Store, entropy: Callable[[int], bytes]) -> Seals:
    with store.write() as tx:
        tx.operate()
        return Seals(bytes.fromhex(tx.signing_key(entropy(32).hex())))


def _headroom(folder: DataFolder, config: Config) -> Headroom:
    """Watches the data folder, and the blobs in it in case they have a disk of their own."""
    folders = [folder.path, folder.path / "blobs"]
    present = tuple(path for path in folders if path.is_dir())
    return Headroom(folders=present, min_free_bytes=config.min_free_bytes)
