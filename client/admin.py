"""The operator's side of the protocol."""

from __future__ import annotations

from ..protocol import wire
from ..protocol.admin import (
    CheckpointSummary,
    CreateTask,
    DeviceSummary,
    Evaluation,
    Funnel,
    PostEvaluation,
    RollBack,
    TaskHistory,
    TaskList,
    TaskSummary,
)
from ..protocol.artifact import CHECKPOINT, MANIFEST, Artifact
from ..protocol.errors import ConfigError, DigestMismatch
from ..protocol.plan import Plan, RoundSettings
from ..protocol.record import Record
from .session import Session


class AdminClient:
    """Acts for the operator who holds ``token``."""

    def __init__(self, session: Session, *, token: str) -> None:
        self._session = session
        self._token = token

    def create_task(
        self,
        name: str,
        *,
        artifact: Artifact,
        population: str,
        plan: Plan,
        settings: RoundSettings,
    ) -> TaskSummary:
        """Uploads an artifact's model, manifest and checkpoint, and opens round 1 on them.

        Raises ConfigError for a plan that no device could follow with this artifact.
        """
        if plan.batch_size > artifact.manifest.batch_size:
            reason = f"the artifact takes batches of at most {artifact.manifest.batch_size}"
            raise ConfigError("batch_size", plan.batch_size, reason)
        bodies = [
            artifact.model,
            (artifact.folder / MANIFEST).read_bytes(),
            artifact.bytes_of(CHECKPOINT),
        ]
        model, manifest, checkpoint = (self._put_blob(body) for body in bodies)
        message = CreateTask(
            name=name,
            population=population,
            plan=plan,
            settings=settings,
            spec=artifact.manifest.spec,
            model_sha256=model,
            manifest_sha256=manifest,
            checkpoint_sha256=checkpoint,
        )
        answer = self._session.exchange("POST", "/v1/admin/tasks", token=self._token, body=message)
        return TaskSummary.from_json(answer.content)

    def tasks(self) -> TaskList:
        answer = self._session.exchange("GET", "/v1/admin/tasks", token=self._token)
        return TaskList.from_json(answer.content)

    def history(self, name: str) -> TaskHistory:
        """Every attempt and every checkpoint of a task."""
        answer = self._session.exchange("GET", f"/v1/admin/tasks/{name}", token=self._token)
        return TaskHistory.from_json(answer.content)

    def funnel(self, name: str, *, window_s: float | None = None) -> Funnel:
        """What became of the devices of the last ``window_s`` seconds, or of all of them."""
        query = "" if window_s is None else f"?window_s={window_s:.0f}"
        answer = self._session.exchange(
            "GET", f"/v1/admin/tasks/{name}/funnel{query}", token=self._token
        )
        return Funnel.from_json(answer.content)

    def pause(self, name: str) -> TaskSummary:
        """Gives no more places; devices that hold one may finish."""
        return self._tell(name, "pause")

    def resume(self, name: str) -> TaskSummary:
        return self._tell(name, "resume")

    def stop(self, name: str) -> TaskSummary:
        return self._tell(name, "stop")

    def roll_back(self, name: str, *, version: int) -> TaskSummary:
        """Makes the weights of an older version the newest, as a version of their own."""
        return self._tell(name, "rollback", RollBack(version=version))

    def post_evaluation(self, name: str, measured: PostEvaluation) -> Evaluation:
        """Tells how good a version is; a value of before is replaced."""
        answer = self._session.exchange(
            "POST", f"/v1/admin/tasks/{name}/evaluations", token=self._token, body=measured
        )
        return Evaluation.from_json(answer.content)

    def device(self, device_id: str) -> DeviceSummary:
        answer = self._session.exchange("GET", f"/v1/admin/devices/{device_id}", token=self._token)
        return DeviceSummary.from_json(answer.content)

    def revoke_device(self, device_id: str) -> DeviceSummary:
        """Ends a device's token for good."""
        answer = self._session.exchange(
            "POST", f"/v1/admin/devices/{device_id}/revoke", token=self._token
        )
        return DeviceSummary.from_json(answer.content)

    def download(self, checkpoint: CheckpointSummary) -> bytes:
        """Fetches a checkpoint; raises DigestMismatch when it is not the one that was named."""
        answer = self._session.exchange("GET", checkpoint.url, token=self._token)
        if wire.sha256(answer.content) != checkpoint.sha256:
            raise DigestMismatch(f"{checkpoint.url} does not have SHA-256 {checkpoint.sha256}")
        return answer.content

    def _tell(self, name: str, verb: str, message: Record | None = None) -> TaskSummary:
        answer = self._session.exchange(
            "POST", f"/v1/admin/tasks/{name}/{verb}", token=self._token, body=message
        )
        return TaskSummary.from_json(answer.content)

    def _put_blob(self, body: bytes) -> str:
        digest = wire.sha256(body)
        self._session.exchange(
            "PUT",
            f"/v1/admin/blobs/{digest}",
            token=self._token,
            body=body,
            headers={"Content-Type": "application/octet-stream"},
        )
        return digest
