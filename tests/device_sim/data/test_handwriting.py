"""Generated handwriting: the same bytes for a seed, hands that differ, digits one can learn."""

import hashlib
import pickle

import numpy as np
import pytest
from pocketfed.device_sim.data.datasets import fetch
from pocketfed.device_sim.data.handwriting import Handwriting, collection
from pocketfed.device_sim.data.handwriting.drawing import SIDE, Pen
from pocketfed.device_sim.data.handwriting.strokes import FORMS, POINTS, skeletons
from pocketfed.device_sim.data.handwriting.writers import Writer
from pocketfed.device_sim.data.sharing import Dirichlet, Natural, usual
from pocketfed.device_sim.streams import stream
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol.errors import ConfigError, DataError
from pocketfed.protocol.plan import Plan
from pocketfed.protocol.weights import Weights


@pytest.fixture(scope="module")
def dataset():
    return fetch("handwriting")


def test_a_seed_and_a_number_give_the_same_bytes_for_ever():
    written = Handwriting(phones=1000, seed=7).of(999)
    digest = hashlib.sha256(written.x.tobytes() + written.y.tobytes()).hexdigest()
    assert (written.x.dtype, written.x.shape[1:]) == (np.uint8, (SIDE, SIDE))
    assert digest == "2f85b42f98151aca3e37517587fca64fdd15069f892d35afea883aded602d880"


def test_a_writer_is_the_same_in_another_process_and_another_under_another_seed():
    owned = Handwriting(phones=5, seed=1)
    copy = pickle.loads(pickle.dumps(owned))
    assert np.array_equal(copy.of(4).x, owned.of(4).x)
    assert not np.array_equal(owned.of(3).x[:10], owned.of(4).x[:10])
    assert not np.array_equal(Handwriting(phones=5, seed=2).of(4).x[:10], owned.of(4).x[:10])


def test_counting_a_phones_digits_draws_none(monkeypatch):
    owned = Handwriting(phones=300, seed=0)
    sizes = [len(owned.of(device)) for device in range(5)]
    monkeypatch.setattr(Writer, "drawn", None)
    assert [owned.num_examples(device) for device in range(5)] == sizes
    many = [owned.num_examples(device) for device in range(300)]
    assert np.mean(many) == pytest.approx(100, rel=0.1)


def test_a_hand_is_more_like_itself_than_like_others():
    threes = np.full(40, 3, np.int32)
    pages = []
    for number in range(12):
        rng = np.random.default_rng(number)
        pages.append(Writer.drawn(rng).write(threes, rng=rng).astype(np.float64) / 255)
    own = np.mean([page.var(axis=0).sum() for page in pages])
    between = np.concatenate(pages).var(axis=0).sum()
    assert own < 0.6 * between


def test_every_form_of_a_digit_is_written_by_somebody():
    first = skeletons().first
    forms = np.stack([Writer.drawn(np.random.default_rng(n)).forms for n in range(50)])
    assert first.tolist() == np.cumsum([0, *map(len, FORMS)]).tolist()
    assert (forms.max(axis=0) > 0.5).all()
    for digit in range(10):
        np.testing.assert_allclose(forms[:, first[digit] : first[digit + 1]].sum(axis=1), 1.0)


def test_a_form_is_walked_in_equal_steps():
    points = skeletons().points[skeletons().first[1]]
    assert points.shape == (POINTS, 2)
    np.testing.assert_allclose(np.diff(points[:, 1]), 1 / POINTS, rtol=0.01)


def test_a_line_is_as_wide_as_the_pen_and_dark_in_its_middle():
    y = np.linspace(4, 24, POINTS)[None]
    ink = np.array([20 / POINTS])
    thin, wide = (Pen(width).draw(np.full_like(y, 14.0), y, ink=ink)[0, 14] for width in (0.5, 1.3))
    assert (thin[14], wide[14], wide[13]) == (255, 255, 255)
    assert thin[13] < 100
    assert not thin[:10].any()
    assert not wide[:10].any()


def test_what_leaves_the_page_stays_on_its_edge():
    x = np.linspace(-10, 40, POINTS)[None]
    drawn = Pen(0.8).draw(x, x.copy(), ink=np.array([0.5]))
    assert drawn.shape == (1, SIDE, SIDE)
    assert drawn[0, 0, 0] == 255


def test_the_testers_are_no_phone_and_write_every_digit_alike_often(dataset):
    assert np.bincount(dataset.test.y).tolist() == [500] * 10
    assert len(dataset.train) > 5000
    known = {image.tobytes() for image in dataset.train.x}
    assert not any(image.tobytes() in known for image in dataset.test.x)


def test_the_testers_are_drawn_from_streams_that_no_phone_has(monkeypatch):
    drawn = []

    def recorded(*keys):
        drawn.append(keys)
        return stream(*keys)

    monkeypatch.setattr(collection, "stream", recorded)
    collection.written_by_others()
    testers = set(drawn)
    drawn.clear()
    for device in range(len(testers)):
        Handwriting(len(testers), seed=0).num_examples(device)
    assert len(testers) == 100
    assert not testers & set(drawn)


def test_phones_are_writers_unless_digits_are_dealt(dataset):
    assert usual(dataset) == Natural()
    assert Natural().share(dataset, phones=None, seed=0).phones == 100
    assert Natural().share(dataset, phones=10**6, seed=0).num_examples(999_999) > 1
    dealt = Dirichlet().share(dataset, phones=20, seed=0)
    assert sum(dealt.num_examples(device) for device in range(20)) == len(dataset.train)


def test_generated_digits_are_in_no_folder(tmp_path):
    with pytest.raises(DataError, match="drop --data_dir"):
        fetch("handwriting", data_dir=tmp_path)


def test_a_fleet_of_no_writer_is_refused(dataset):
    with pytest.raises(ConfigError, match="phones"):
        Natural().share(dataset, phones=0, seed=0)


@pytest.mark.slow
def test_all_writers_together_teach_what_one_cannot(dataset, tmp_path):
    from pocketfed.model_export import export_zoo

    artifact = export_zoo("mnist_2nn", out=tmp_path / "artifact", seed=0)
    trainer = LiteRTTrainer(artifact.model, artifact.manifest)

    def accuracy(examples, *, epochs):
        plan = Plan(epochs=epochs, batch_size=10, learning_rate=0.1, max_examples=10**6)
        start = artifact.checkpoint
        result = trainer.train(start, examples, plan=plan, rng=np.random.default_rng(0))
        trained = Weights(start.spec, start.vector + result.delta.vector)
        return trainer.evaluate(trained, dataset.test).accuracy

    assert accuracy(dataset.train, epochs=4) > 0.9
    alone = [accuracy(Handwriting(3, seed=1).of(device), epochs=30) for device in range(3)]
    assert max(alone) < 0.7
