"""The operator's client refuses what could never work before it sends anything."""

from pathlib import Path

import httpx
import pytest
from pocketfed.client import AdminClient, Session
from pocketfed.protocol.artifact import Artifact, Manifest, Tolerances
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.plan import Plan, RoundSettings


def test_a_plan_with_larger_batches_than_the_artifact_is_refused(tmp_path: Path) -> None:
    manifest = Manifest(
        name="model",
        created_by="a test",
        files={},
        signatures={},
        batch_size=10,
        evaluate_batch_size=10,
        spec=(),
        loss="mean_squared_error",
        optimizer="sgd",
        ops={},
        minimum_runtime="2.6.0",
        tolerances=Tolerances(atol=0.0, rtol=0.0),
    )
    sent: list[httpx.Request] = []

    def remember(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(500)

    session = Session("http://server.invalid", transport=httpx.MockTransport(remember))
    with session, pytest.raises(ConfigError, match="batches of at most 10"):
        AdminClient(session, token="operator").create_task(
            "task",
            artifact=Artifact(tmp_path, manifest),
            population="people",
            plan=Plan(batch_size=11),
            settings=RoundSettings(),
        )
    assert sent == []
