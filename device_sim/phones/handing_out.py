"""Handing out: one phone's work goes to those who train for the fleet, and comes back."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace

import msgspec

from ...protocol.messages import Assignment
from ...protocol.plan import RoundKind
from ..conditions import PhoneConditions
from ..workers.jobs import Done, Job
from .circumstances import Circumstances
from .falsifying import falsified
from .surroundings import Surroundings


@dataclass(frozen=True)
class HandedOut:
    """Work under way, and how long a phone like this one takes for it."""

    assignment: Assignment
    done: Future[Done]
    modelled_s: float
    taken_s: float


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Where one phone, which owns ``num_examples``, hands out its work and collects it."""

    num_examples: int
    conditions: PhoneConditions
    circumstances: Circumstances
    around: Surroundings

    def hand_out(self, assignment: Assignment, bodies: dict[str, bytes]) -> HandedOut:
        """Has the work begun; ``bodies`` are the bytes that the assignment names."""
        device, around = self.conditions.device, self.around
        job = Job.of(
            assignment,
            seed=self.conditions.seed,
            device=device,
            num_examples=self.num_examples,
            owed=around.debts.owed(device=device, task=assignment.task),
        )
        began_s = around.clock()
        modelled_s = self.circumstances.compute_s(assignment, job.steps)
        job = replace(job, due_s=began_s + modelled_s)
        done = around.workers.submit(job, bodies)
        return HandedOut(assignment, done, modelled_s, around.clock() - began_s + modelled_s)

    def collect(self, work: HandedOut) -> Done:
        """Waits for the work, which elsewhere may take longer than on the fleet's clock.

        What an unruly phone makes of it is what it tells and sends. Raises what ``Workers`` names.
        """
        made = work.done.result()
        report = made.report
        if work.assignment.kind is RoundKind.TRAIN:
            report = msgspec.structs.replace(report, train_s=work.taken_s)
        told = falsified(self.conditions.mischief, work.assignment, report, made.body)
        return Done(*told, made.left_out, made.deviation)

    def accepted(self, made: Done, task: str) -> None:
        """The server has it: what its codec left out is owed from now on."""
        if made.left_out is not None:
            self.around.debts.accepted(made.left_out, device=self.conditions.device, task=task)
