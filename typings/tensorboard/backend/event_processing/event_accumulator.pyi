from typing import NamedTuple, Self

class ScalarEvent(NamedTuple):
    wall_time: float
    step: int
    value: float

class EventAccumulator:
    def __init__(self, path: str) -> None: ...
    def Reload(self) -> Self: ...  # noqa: N802  # its own name
    def Tags(self) -> dict[str, list[str]]: ...  # noqa: N802  # its own name
    def Scalars(self, tag: str) -> list[ScalarEvent]: ...  # noqa: N802  # its own name
