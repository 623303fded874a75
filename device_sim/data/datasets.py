"""The data sets there are, and how one comes into memory: a folder, the cache, the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ...protocol.errors import DataError
from .cache import default_cache_dir
from .dataset import Dataset
from .handwriting import HANDWRITING
from .images import FASHION_MNIST, MNIST
from .shakespeare import SHAKESPEARE


class Recipe(Protocol):
    """How one data set is had."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        ...

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        ...

    def fetch(self, *, data_dir: Path | None, cache_dir: Path) -> Dataset:
        """Brings it into memory; raises DataError."""
        ...


DATASETS: Mapping[str, Recipe] = {
    recipe.name: recipe for recipe in (MNIST, FASHION_MNIST, HANDWRITING, SHAKESPEARE)
}


def fetch(
    name: str,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    recipes: Mapping[str, Recipe] = DATASETS,
) -> Dataset:
    """Brings a data set into memory, and into the cache if it came over the network.

    ``data_dir`` is a demand: when it is given, nothing else is tried. Raises DataError.
    """
    recipe = recipes.get(name)
    if recipe is None:
        raise DataError(f"there is no data set {name!r}; choose one of {', '.join(recipes)}")
    return recipe.fetch(data_dir=data_dir, cache_dir=(cache_dir or default_cache_dir()) / name)
