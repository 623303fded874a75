"""A fleet through the real server, and the same rounds in TFF: they end at the same weights."""

import fcntl
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from pocketfed.client import AdminClient, Session
from pocketfed.device_sim.data.examples import Examples
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.sessions import SessionOutcome
from pocketfed.device_sim.tff import TffJob, interpreter, made, make_rounds, measured
from pocketfed.device_sim.training.graph_trainer import GraphTrainers
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol import wire
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.folding import Adam, Mean, Sgd, WeightedMean, Yogi
from pocketfed.protocol.plan import Plan, RetryWindow, RoundSettings
from pocketfed.server import Config, create_app

pytestmark = pytest.mark.slow

ROUNDS, GOAL, SEED = 5, 3, 11
# Less than a batch, a batch and a bit, and more than the plan takes.
SIZES = (3, 7, 12, 16, 21, 27, 33)
# A unit so near to zero that rounding alone switches it on or off is seen in the weights, one of a
# hundred thousand, by a share of the learning rate: so the steps are short.
RATES = {"mnist_2nn": 1e-3, "mnist_cnn": 1e-3}
TOLERANCE = 1e-5


AS_USUAL = RoundSettings(goal=GOAL, rounds=ROUNDS, retry=RetryWindow(min_s=5.0, max_s=60.0))


@dataclass(frozen=True)
class Case:
    """The settings of a task, its model, and who trains."""

    model: str = "mnist_2nn"
    settings: RoundSettings = AS_USUAL
    is_litert: bool = False


CASES = {
    "2nn": Case(is_litert=True),
    "cnn": Case("mnist_cnn"),
    "clipped, momentum": Case(
        settings=replace(
            AS_USUAL,
            aggregator=WeightedMean(clip_norm=0.02),
            server_optimizer=Sgd(learning_rate=0.7, momentum=0.9),
        )
    ),
    "adam": Case(settings=replace(AS_USUAL, server_optimizer=Adam(learning_rate=1e-3, tau=1e-4))),
    "unweighted, yogi": Case(
        settings=replace(
            AS_USUAL,
            aggregator=Mean(),
            server_optimizer=Yogi(learning_rate=1e-3, beta_1=0.8, tau=2e-4),
        )
    ),
}


def plan_of(case: Case) -> Plan:
    return Plan(epochs=2, batch_size=10, learning_rate=RATES[case.model], max_examples=30)


def require_tff():
    try:
        interpreter()
    except ConfigError as error:
        if os.environ.get("POCKETFED_REQUIRE_ALL") == "1":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder for each case with both sides' weights; made once, whichever worker comes first."""
    require_tff()
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tff"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "done").exists():
            make_all(root)
            (root / "done").touch()
    return root


def make_all(root):
    artifacts = {model: exported(root / model) for model in {case.model for case in CASES.values()}}
    for name, case in CASES.items():
        ours(root / name, case, artifacts[case.model])
    make_rounds([root / name for name in CASES], log=root / "log", limit_s=600.0)


def exported(out: Path) -> Artifact:
    from pocketfed.model_export import export_zoo

    return export_zoo(out.name, out=out, graph=True)


def ours(folder: Path, case: Case, artifact: Artifact) -> None:
    """Runs a fleet; keeps the weights of every version, and the job with which TFF makes them."""
    from pocketfed.model_export.reading.layers import described_zoo

    clock, cohorts = VirtualClock(), defaultdict(list)

    def note(record):
        if record.outcome is SessionOutcome.ACCEPTED:
            cohorts[record.round].append(record.device)

    app = create_app(Config(data_dir=folder / "server", coordinator="inline"), clock=clock.now)
    server = app.extensions["pocketfed"]
    with Session("http://server", app=app.wsgi_app) as session:
        admin = AdminClient(session, token=server.admin_token)
        admin.create_task(
            "digits",
            artifact=artifact,
            population="people",
            plan=plan_of(case),
            settings=case.settings,
        )
        fleet = VirtualFleet(
            FleetSettings(population="people", seed=SEED),
            owned=OWNED,
            session=session,
            clock=clock,
            new_trainer=LiteRTTrainer if case.is_litert else GraphTrainers(artifact.graph),
            observe=note,
        )
        fleet.run(until=lambda: len(admin.history("digits").checkpoints) > ROUNDS)
        history = admin.history("digits")
        for checkpoint in history.checkpoints:
            weights = wire.decode(admin.download(checkpoint), artifact.checkpoint.spec)
            np.save(folder / f"{checkpoint.version}.npy", weights.vector)
    server.close()
    np.save(folder / "examples.npy", [one.num_examples for one in history.rounds[:ROUNDS]])
    TffJob(
        artifact=artifact,
        model=described_zoo(case.model),
        plan=plan_of(case),
        settings=case.settings,
        owned=OWNED,
        seed=SEED,
        cohorts=[cohorts[number] for number in range(1, ROUNDS + 1)],
    ).write(folder)


def owned_by(device: int) -> Examples:
    """Noisy patterns, most of them of two or three digits."""
    rng = np.random.default_rng(device)
    y = rng.choice(10, SIZES[device], p=rng.dirichlet(np.full(10, 0.3))).astype(np.int32)
    patterns = np.random.default_rng(99).integers(0, 2, (10, 28, 28)) * 150
    noise = rng.integers(0, 100, (len(y), 28, 28))
    return Examples(np.clip(patterns[y] + noise, 0, 255).astype(np.uint8), y)


OWNED = Listed([owned_by(device) for device in range(len(SIZES))])


def distances(root: Path, name: str) -> list[float]:
    """The largest difference of one weight after each round."""
    spec = Artifact.read(root / CASES[name].model).checkpoint.spec
    found = []
    for number in range(1, ROUNDS + 1):
        theirs = made(root / name, number, spec).vector
        mine, before = (np.load(root / name / f"{n}.npy") for n in (number, number - 1))
        assert np.abs(mine - before).max() > 10 * TOLERANCE
        found.append(float(np.abs(mine - theirs).max()))
    return found


@pytest.mark.parametrize("name", CASES)
def test_five_rounds_of_a_fleet_end_at_the_weights_of_tff(results, name):
    found = distances(results, name)
    print(f"{name}: {max(found):.1e} apart")  # noqa: T201  # figures for docs/tff.md
    assert max(found) < TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_tff_counts_the_examples_that_the_server_counts(results, name):
    theirs = [one["client_work"]["train"]["num_examples"] for one in measured(results / name)]
    assert theirs == [
        plan_of(CASES[name]).epochs * one for one in np.load(results / name / "examples.npy")
    ]


def test_some_deltas_were_clipped_and_some_were_not(results):
    counts = [one["aggregator"]["clipped_count"] for one in measured(results / "clipped, momentum")]
    assert 0 < sum(counts) < ROUNDS * GOAL
