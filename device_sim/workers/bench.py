"""A bench: where jobs are done, one at a time in each thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ...protocol import wire
from ...protocol.artifact import Manifest
from ...protocol.codecs import codec_named
from ...protocol.messages import Outcome, Report
from ...protocol.plan import RoundKind
from ...protocol.weights import Weights
from ..conditions import rounding_stream, shuffle_stream
from ..ownership import Ownership
from ..phones.encoding import encode
from ..phones.measuring import measure
from ..training.trainers import NewTrainer, Trainer, TrainerPool
from .jobs import Done, Job

Read = Callable[[str], bytes]
KEPT = 4

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Bench:
    """Trains and measures; keeps the models and checkpoints that the last jobs were about."""

    def __init__(self, ownership: Ownership, new_trainer: NewTrainer) -> None:
        self._ownership = ownership
        self._trainers = TrainerPool(new_trainer)
        self._models = _Kept[str, bytes](KEPT)
        self._manifests = _Kept[str, Manifest](KEPT)
        self._checkpoints = _Kept[str, Weights](KEPT)

    def do(self, job: Job, read: Read) -> Done:
        """Does one job; ``read`` gives the bytes of a SHA-256. Raises what ``Workers`` names."""
        manifest = self._manifests.get(job.manifest, lambda: Manifest.from_json(read(job.manifest)))
        model = self._models.get(job.model, lambda: read(job.model))
        trainer = self._trainers.get(job.model, model, manifest)
        weights = self._checkpoints.get(
            job.checkpoint, lambda: wire.decode(read(job.checkpoint), manifest.weight_spec)
        )
        if job.kind is RoundKind.EVALUATE:
            return Done(measure(trainer, weights, self._ownership.of(job.device), job=job))
        return self._train(trainer, weights, job)

    def _train(self, trainer: Trainer, weights: Weights, job: Job) -> Done:
        keys = {"seed": job.seed, "device": job.device, "round_": job.round}
        examples = self._ownership.of(job.device)
        result = trainer.train(weights, examples, plan=job.plan, rng=shuffle_stream(**keys))
        body, left_out = encode(
            result.delta, codec=codec_named(job.codec), owed=job.owed, rng=rounding_stream(**keys)
        )
        report = Report(
            outcome=Outcome.COMPLETED,
            num_examples=result.num_examples,
            bytes=len(body),
            sha256=wire.sha256(body),
            loss=result.loss,
        )
        return Done(report, body, left_out, result.deviation)


class _Kept(Generic[_Key, _Value]):
    """The values asked for last, each made when first needed; safe between threads."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._values: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key, make: Callable[[], _Value]) -> _Value:
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            self._values.move_to_end(key)
            if len(self._values) > self._at_most:
                self._values.popitem(last=False)
            return self._values[key]
