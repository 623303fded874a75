"""Tasks of a Ray cluster fold to the same bits as threads of this process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Ray leaves processes behind that would hold a pipe open, so all of it goes through files.
SCRIPT = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
import ray
from pocketfed.protocol import folding, wire
from pocketfed.protocol.admin import CreateTask
from pocketfed.protocol.errors import LostBlob
from pocketfed.protocol.plan import RoundSettings
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server.blobs import FolderBlobs
from pocketfed.server.folding.fold import basis_of, fold
from pocketfed.server.store import Checkpoint, Update
from pocketfed.server.folding.workers import LocalWorkers, workers_of

folder = Path(sys.argv[1])
spec = WeightSpec.of({"w": (1000,)})
blobs = FolderBlobs(folder / "blobs")
rng = np.random.default_rng(1)

def put():
    body = wire.encode(Weights(spec, rng.normal(0.0, 0.1, spec.size).astype(np.float32)))
    (folder / "blobs" / wire.sha256(body)).write_bytes(body)
    return wire.sha256(body)

start = Checkpoint(id=1, task_id=1, version=0, sha256=put(), bytes=0, created_at=0.0)
updates = [Update(assignment_id=str(n), sha256=put(), num_examples=n) for n in range(1, 8)]

def digest(kind, workers):
    settings = RoundSettings(aggregator=kind, server_optimizer=folding.Adam())
    no = "0" * 64
    task = CreateTask(name="t", population="p", settings=settings, spec=spec.entries,
                      model_sha256=no, manifest_sha256=no, checkpoint_sha256=no)
    basis = basis_of(task, start, read=blobs.read)
    folded = fold(task, basis, updates, read=blobs.read, workers=workers)
    return [hashlib.sha256(one.tobytes()).hexdigest() for one in (folded.vector, *folded.state)]

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
cluster = workers_of("ray", scratch=folder)
answer = {"count": cluster.count, "pairs": []}
kinds = [folding.WeightedMean(), folding.Mean(clip_norm=0.5), folding.TrimmedMean()]
kinds.append(folding.Median())
for kind in kinds:
    answer["pairs"].append([digest(kind, LocalWorkers(count=1)), digest(kind, cluster)])
blobs.remove(updates[-1].sha256)
try:
    digest(kinds[0], cluster)
except LostBlob as error:
    answer["error"] = str(error)
answer["lost"] = updates[-1].sha256
(folder / "answer.json").write_text(json.dumps(answer))
ray.shutdown()
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("ray")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    with (folder / "log").open("w") as log:
        command = [sys.executable, str(script), str(folder)]
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=180, check=False
        )
    assert process.returncode == 0, Path(folder / "log").read_text()
    return json.loads((folder / "answer.json").read_text())


@pytest.mark.slow
def test_a_cluster_folds_to_the_bits_of_one_thread(answer) -> None:
    assert answer["count"] == 2
    assert [local == spread for local, spread in answer["pairs"]] == [True] * 4


@pytest.mark.slow
def test_a_blob_that_is_lost_to_a_task_is_named(answer) -> None:
    assert answer["lost"] in answer["error"]
