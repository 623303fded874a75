"""What every process of a server stands on: the data folder, the database, blobs, a coordinator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from .blobs import Blobs
from .config import Config
from .coordinator import ALONE, Coordinator
from .folder import DataFolder
from .store import Store, file_url

DATABASE = "pocketfed.sqlite3"


class Ground(NamedTuple):
    """The parts that the use cases share."""

    folder: DataFolder
    store: Store
    blobs: Blobs
    coordinator: Coordinator


def stand_on(
    config: Config,
    *,
    clock: Callable[[], float],
    entropy: Callable[[int], bytes],
    resources: ExitStack,
) -> Ground:
    """Opens all of it; ``resources`` closes it. Raises ConfigError or Unavailable.

    With SQLite the process is alone on its folder, and so may sweep it; with PostgreSQL what lies
    in the folder may be what another process is about to use.
    """
    folder = DataFolder.claim(config.data_dir, is_shared=config.is_scaled)
    resources.callback(folder.release)
    url = config.database or file_url(folder.path / DATABASE)
    store = Store.open(url, connections=config.threads + 1)
    resources.callback(store.close)
    blobs = Blobs(folder.path / "blobs")
    coordinator = Coordinator(
        store,
        blobs,
        clock=clock,
        is_inline=config.coordinator == "inline",
        owner=entropy(8).hex() if config.is_scaled else ALONE,
        lease_s=config.lease_s,
    )
    if not config.is_scaled:
        coordinator.sweep(clock())
    return Ground(folder, store, blobs, coordinator)
