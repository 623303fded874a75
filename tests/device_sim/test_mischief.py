"""Phones that break the rules, over the real protocol: the answers are those of docs/protocol.md,
and the checkpoints are those of a run without what they broke.
"""

import contextlib
import itertools
import math

import httpx
import msgspec
import numpy as np
import pytest
from pocketfed.client import Session
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.conditions.availability import AlwaysThere
from pocketfed.device_sim.conditions.mischief import Mischief, MischiefShares
from pocketfed.device_sim.conditions.needs import EVERYTHING, Stretch
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.falsifying import poisoned
from pocketfed.device_sim.phones.phone_client import Board
from pocketfed.device_sim.phones.sessions import SessionOutcome
from pocketfed.protocol import wire
from pocketfed.protocol.codecs import codec_named
from pocketfed.protocol.errors import InvalidEncoding, NonFiniteDelta
from pocketfed.protocol.plan import RetryWindow, RoundSettings
from pocketfed.protocol.weights import Weights

PHONES, UNRULY, ROUNDS, EXAMPLES = 6, 5, 2, 12
# What the server must answer, and how the session ends.
REFUSED = {
    Mischief.LATE: (("PUT", 409, "round_closed"), SessionOutcome.LATE),
    Mischief.CORRUPT: (("PUT", 400, "digest_mismatch"), SessionOutcome.REFUSED),
    # It tries again after 5 s; by then the others have ended the round.
    Mischief.TRUNCATED: (("PUT", 400, "truncated_body"), SessionOutcome.LATE),
    Mischief.NOT_A_NUMBER: (("PUT", 422, "non_finite_delta"), SessionOutcome.REFUSED),
    Mischief.BIG_LIE: (("POST", 422, "implausible_report"), SessionOutcome.REFUSED),
    Mischief.STOLEN_PLACE: (("POST", 403, "not_assigned"), SessionOutcome.REFUSED),
}


class Listening:
    """WSGI around a server that notes (method, status, code) of every answer to a phone's work."""

    def __init__(self, app):
        self._app = app
        self.heard = []

    def __call__(self, environ, start_response):
        seen = []

        def start(status, headers, *rest):
            seen.append(int(status.split()[0]))
            return start_response(status, headers, *rest)

        with contextlib.closing(self._app(environ, start)) as parts:
            body = b"".join(parts)
        if environ["PATH_INFO"].startswith("/v1/assignments/"):
            code = msgspec.json.decode(body).get("code") if seen[0] >= 400 else None
            self.heard.append((environ["REQUEST_METHOD"], seen[0], code))
        return [body]


class AllButOne:
    """Everybody is always there, except one phone, which never is."""

    def of_phone(self, *, seed, device):
        return Away() if device == UNRULY else AlwaysThere()


class Away:
    def at(self, now_s):
        return Stretch(0.0, math.inf, EVERYTHING)


def with_one(kind, **changes):
    """Conditions and a seed in which the last phone alone is of this kind."""
    conditions = Conditions(
        drop_out=0.0, mischief=MischiefShares(**{kind.value: 1 / PHONES}), **changes
    )
    for seed in itertools.count():
        kinds = [conditions.of_phone(seed=seed, device=device).mischief for device in range(PHONES)]
        if kinds == [None] * UNRULY + [kind]:
            return conditions, seed
    raise AssertionError


def settings(goal, **changes):
    fields = {
        "goal": goal,
        "over_selection": PHONES / goal,
        "rounds": ROUNDS,
        "retry": RetryWindow(min_s=20.0, max_s=40.0),
        "upload_timeout_s": 200.0,
    }
    return RoundSettings(**{**fields, **changes})


@pytest.fixture(scope="module")
def owned(make_examples):
    return Listed([make_examples(EXAMPLES, seed=device) for device in range(PHONES)])


def run(host, owned, conditions, wanted, *, seed, until=None):
    clock, heard = VirtualClock(), []
    server = host(wanted, clock=clock)
    listening = Listening(server.app)
    session = Session("http://server", transport=httpx.WSGITransport(app=listening))
    fleet = VirtualFleet(
        FleetSettings(population="people", seed=seed, conditions=conditions),
        owned=owned,
        session=session,
        clock=clock,
        observe=heard.append,
    )

    def is_over():
        if clock.now() > 20_000:
            return True
        has_committed = len(server.history().checkpoints) > wanted.rounds
        return has_committed and (until is None or bool(until(heard)))

    fleet.run(until=is_over)
    return server, heard, listening.heard


def of_the_unruly(records):
    """Its sessions in a round, but for one that the end of the run cut short."""
    return [
        record
        for record in records
        if record.device == UNRULY and record.round and record.detail != "the fleet stopped"
    ]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_leaves_no_trace_in_the_checkpoints(host, owned, kind):
    conditions, seed = with_one(kind)
    server, heard, answers = run(
        host, owned, conditions, settings(UNRULY), seed=seed, until=of_the_unruly
    )
    absent = Conditions(drop_out=0.0, availability=AllButOne())
    without, _, _ = run(host, owned, absent, settings(UNRULY), seed=seed)
    answer, outcome = REFUSED[kind]
    assert answer in answers
    assert {record.outcome for record in of_the_unruly(heard)} == {outcome}
    expected = [checkpoint.sha256 for checkpoint in without.history().checkpoints]
    assert [checkpoint.sha256 for checkpoint in server.history().checkpoints] == expected
    assert len(expected) == ROUNDS + 1


def test_a_thief_can_neither_report_nor_upload_under_another_assignment(host, owned):
    conditions, seed = with_one(Mischief.STOLEN_PLACE)
    _, heard, answers = run(
        host, owned, conditions, settings(UNRULY), seed=seed, until=of_the_unruly
    )
    refused = {answer for answer in answers if answer[2] is not None}
    assert refused == {("PUT", 403, "not_assigned"), ("POST", 403, "not_assigned")}
    honest = [record for record in heard if record.device != UNRULY and record.round]
    assert {record.outcome for record in honest} == {SessionOutcome.ACCEPTED}


@pytest.mark.parametrize("kind", [Mischief.DUPLICATE, Mischief.WRONG_CLOCK])
def test_what_is_harmless_changes_no_checkpoint(host, owned, kind):
    conditions, seed = with_one(kind)
    server, heard, answers = run(host, owned, conditions, settings(PHONES), seed=seed)
    calm, _, _ = run(host, owned, Conditions(drop_out=0.0), settings(PHONES), seed=seed)
    expected = [checkpoint.sha256 for checkpoint in calm.history().checkpoints]
    assert [checkpoint.sha256 for checkpoint in server.history().checkpoints] == expected
    assert {record.outcome for record in of_the_unruly(heard)} == {SessionOutcome.ACCEPTED}
    assert server.history().rounds[0].accepted == PHONES
    assert all(code is None for _, _, code in answers)
    assert answers.count(("PUT", 200, None)) == (2 if kind is Mischief.DUPLICATE else 0)


def test_a_phone_whose_clock_runs_fast_is_turned_away_until_its_time(host, owned):
    conditions, seed = with_one(Mischief.WRONG_CLOCK)
    _, heard, _ = run(host, owned, conditions, settings(UNRULY), seed=seed)
    turned_away = [
        record.device for record in heard if record.outcome is SessionOutcome.TURNED_AWAY
    ]
    assert turned_away.count(UNRULY) > len(turned_away) / 2


def test_a_lie_within_the_limits_weighs_no_more_than_the_plan_allows(host, owned, artifact):
    conditions, seed = with_one(Mischief.LIE)
    wanted = settings(PHONES, rounds=1)
    calm, _, _ = run(host, owned, Conditions(drop_out=0.0), wanted, seed=seed)
    liars, heard, _ = run(host, owned, conditions, wanted, seed=seed)
    absent = Conditions(drop_out=0.0, availability=AllButOne())
    without, _, _ = run(host, owned, absent, settings(UNRULY, rounds=1), seed=seed)

    def first_update(server):
        body = server.admin.download(server.history().checkpoints[1])
        trained = wire.decode(body, artifact.manifest.weight_spec).vector
        return (trained - artifact.checkpoint.vector).astype(np.float64)

    honest, all_true, lied = (first_update(server) for server in (without, calm, liars))
    own = PHONES * all_true - UNRULY * honest
    limit = 10_000
    assert of_the_unruly(heard)[0].num_examples == limit
    assert liars.history().rounds[0].num_examples == limit + UNRULY * EXAMPLES
    share = limit / (limit + UNRULY * EXAMPLES)
    np.testing.assert_allclose(lied, (1 - share) * honest + share * own, atol=2e-6)
    assert np.linalg.norm(lied - honest) <= share * np.linalg.norm(own - honest) + 1e-5


@pytest.mark.parametrize(
    ("codec", "error"),
    [
        ("float32", NonFiniteDelta),
        ("float16", NonFiniteDelta),
        ("topk:0.25+zlib", NonFiniteDelta),
        ("int8", InvalidEncoding),
        ("int4+zstd", InvalidEncoding),
    ],
)
def test_a_nan_is_refused_in_every_codec(artifact, codec, error):
    spec = artifact.manifest.weight_spec
    delta = Weights(spec, np.linspace(-1, 1, spec.size, dtype=np.float32))
    body = codec_named(codec).encode(delta, np.random.default_rng(0))
    codec_named(codec).decode(body, spec)
    with pytest.raises(error):
        codec_named(codec).decode(poisoned(body, codec), spec)


def test_a_board_tells_of_others_only():
    board = Board()
    assert board.of_another("a") is None
    board.post("a", "a1")
    assert board.of_another("a") is None
    board.post("b", "b1")
    board.post("b", "b2")
    assert (board.of_another("a"), board.of_another("b")) == ("b2", "a1")


def test_the_same_seed_gives_the_same_run_with_all_kinds_of_phones(host, owned):
    shares = MischiefShares(**{kind.value: 0.08 for kind in Mischief})
    conditions = Conditions(drop_out=0.05, mischief=shares)
    wanted = settings(2, over_selection=2.0)
    runs = [run(host, owned, conditions, wanted, seed=4) for _ in range(2)]
    assert runs[0][1] == runs[1][1]
    hashes = [[one.sha256 for one in server.history().checkpoints] for server, _, _ in runs]
    assert hashes[0] == hashes[1]
