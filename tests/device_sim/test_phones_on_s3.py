"""Simulated phones put and get their bytes in S3 without knowing it, and end at the same bits."""

import os
from contextlib import ExitStack

import httpx
import pytest
from pocketfed.client import AdminClient, Session
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.protocol.plan import Plan, RoundSettings
from pocketfed.server import Config, create_app

ROUNDS, GOAL = 2, 3
SETTINGS = RoundSettings(goal=GOAL, over_selection=1.0, rounds=ROUNDS)


class Beside(httpx.BaseTransport):
    """Leads to a server in this process, and to the store over the network."""

    def __init__(self, app) -> None:
        self._server = httpx.WSGITransport(app=app)
        self._network = httpx.HTTPTransport()
        self.puts = self.gets = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "server":
            return self._server.handle_request(request)
        assert "Authorization" not in request.headers
        self.puts += request.method == "PUT"
        self.gets += request.method == "GET"
        return self._network.handle_request(request)

    def close(self) -> None:
        self._network.close()


@pytest.fixture
def bucket(monkeypatch):
    try:
        from moto.server import ThreadedMotoServer
    except ImportError:
        if os.environ.get("POCKETFED_REQUIRE_ALL") == "1":
            raise
        pytest.skip("moto[server] is not installed")
    from pocketfed.server.blobs import s3_place

    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3_place._client.cache_clear()
    s3_place.S3Place("phones", "").client.create_bucket(Bucket="phones")
    yield "s3://phones"
    s3_place._client.cache_clear()
    store.stop()


def run(folder, artifact, owned, *, blobs: str):
    """A small fleet until its task has ended; returns the last checkpoint and the transport."""
    clock = VirtualClock()
    app = create_app(Config(data_dir=folder, coordinator="inline", blobs=blobs), clock=clock.now)
    server = app.extensions["pocketfed"]
    beside = Beside(app)
    with ExitStack() as stack:
        stack.callback(server.close)
        session = stack.enter_context(Session("http://server", transport=beside))
        admin = AdminClient(session, token=server.admin_token)
        plan = Plan(epochs=1, batch_size=4, learning_rate=0.1)
        admin.create_task(
            "tiny", artifact=artifact, population="people", plan=plan, settings=SETTINGS
        )
        settings = FleetSettings(population="people", seed=0, conditions=Conditions(drop_out=0.0))
        fleet = VirtualFleet(settings, owned=owned, session=session, clock=clock)
        fleet.run(until=lambda: admin.history("tiny").task.committed == ROUNDS)
        return admin.history("tiny").checkpoints[-1].sha256, beside


def test_phones_on_s3_end_at_the_checkpoint_of_phones_on_a_folder(
    tmp_path, artifact, make_examples, bucket
) -> None:
    owned = Listed([make_examples(12, seed=number) for number in range(5)])
    in_folder, direct = run(tmp_path / "folder", artifact, owned, blobs="")
    in_s3, beside = run(tmp_path / "s3", artifact, owned, blobs=bucket)
    assert in_s3 == in_folder
    assert (direct.puts, direct.gets) == (0, 0)
    assert beside.puts == ROUNDS * GOAL
    assert beside.gets >= beside.puts
