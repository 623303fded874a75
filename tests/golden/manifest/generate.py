"""Makes manifests that every reader takes, and manifests that every reader refuses.

``valid/`` and ``invalid/`` hold one ``manifest.json`` each under a name that says what is special
about it. All valid ones have the name ``golden`` and eight weights. Run it with Python after the
manifest has changed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pocketfed.protocol.artifact import Manifest

FOLDER = Path(__file__).parent
Fields = dict[str, Any]
Change = Callable[[Fields], object]

MINIMAL: Fields = {
    "name": "golden",
    "created_by": "pocketfed",
    "files": {},
    "signatures": {
        "train": {
            "inputs": [
                {"name": "x", "dtype": "float32", "shape": [2, 3]},
                {"name": "y", "dtype": "int32", "shape": [2]},
                {"name": "weight", "dtype": "float32", "shape": [2]},
                {"name": "learning_rate", "dtype": "float32", "shape": []},
            ],
            "outputs": [{"name": "loss", "dtype": "float32", "shape": []}],
        }
    },
    "batch_size": 2,
    "evaluate_batch_size": 4,
    "spec": [
        {"name": "kernel", "shape": [3, 2], "offset": 0},
        {"name": "bias", "shape": [2], "offset": 6, "trainable": False},
    ],
    "loss": "huber",
    "optimizer": "sgd",
    "ops": {},
    "minimum_runtime": "2.10.0",
    "tolerances": {"atol": 1e-6, "rtol": 1e-5},
}
ENTRY: Fields = {"sha256": "0" * 64, "bytes": 0}


def valid() -> Iterator[tuple[str, bytes]]:
    """Manifests that are read."""
    yield "minimal", _text(MINIMAL)
    whole = Manifest.from_json(_text(MINIMAL)).to_json()
    yield "every_field", _text(json.loads(whole))
    yield "unknown_fields", _text(_with(lambda m: m.update(later=[1, {"a": None}])))
    known = _with(lambda m: m["signatures"]["train"].update(later=1))
    yield "unknown_field_of_a_signature", _text(known)
    yield "empty_plan", _text(_with(lambda m: m.update(plan={})))
    yield "no_spaces", json.dumps(MINIMAL, separators=(",", ":")).encode()
    yield "longest_name_of_a_label", _text(_with(lambda m: m.update(labels=["\u00e9" * 300])))


CHANGES: dict[str, Change] = {
    "schema_of_tomorrow": lambda m: m.update(schema_version=2),
    "schema_0": lambda m: m.update(schema_version=0),
    "name_with_slash": lambda m: m.update(name="a/b"),
    "name_too_long": lambda m: m.update(name="a" * 65),
    "name_of_nothing": lambda m: m.update(name=""),
    "name_with_line_end": lambda m: m.update(name="golden\n"),
    "batch_size_0": lambda m: m.update(batch_size=0),
    "batch_size_of_words": lambda m: m.update(batch_size="two"),
    "batch_size_null": lambda m: m.update(batch_size=None),
    "batch_size_a_half": lambda m: m.update(batch_size=2.5),
    "evaluate_batch_size_0": lambda m: m.update(evaluate_batch_size=0),
    "frozen_weights_negative": lambda m: m.update(frozen_weights=-1),
    "storage_unknown": lambda m: m.update(storage="int8"),
    "labels_null": lambda m: m.update(labels=None),
    "labels_no_list": lambda m: m.update(labels="cat"),
    "digest_short": lambda m: m["files"].update(a=ENTRY | {"sha256": "0" * 63}),
    "digest_in_capitals": lambda m: m["files"].update(a=ENTRY | {"sha256": "A" * 64}),
    "file_of_negative_length": lambda m: m["files"].update(a=ENTRY | {"bytes": -1}),
    "shape_of_words": lambda m: m["signatures"]["train"]["inputs"][0].update(shape=["a"]),
    "plan_unknown_field": lambda m: m.update(plan={"clip_norm": 1.0}),
    "plan_unknown_eligibility": lambda m: m.update(plan={"eligibility": {"moon": True}}),
    "plan_no_epoch": lambda m: m.update(plan={"epochs": 0}),
    "plan_no_batch": lambda m: m.update(plan={"batch_size": 0}),
    "plan_no_example": lambda m: m.update(plan={"max_examples": 0}),
    "plan_min_examples_0": lambda m: m.update(plan={"eligibility": {"min_examples": 0}}),
    "plan_rate_0": lambda m: m.update(plan={"learning_rate": 0.0}),
    "plan_rate_negative": lambda m: m.update(plan={"learning_rate": -0.1}),
    "spec_unknown_field": lambda m: m["spec"][0].update(sparse=True),
    "spec_hole": lambda m: m["spec"][1].update(offset=7),
    "spec_overlap": lambda m: m["spec"][1].update(offset=5),
    "spec_same_name": lambda m: m["spec"][1].update(name="kernel"),
    "spec_negative_side": lambda m: m["spec"][0].update(shape=[-3, -2]),
}


def invalid() -> Iterator[tuple[str, bytes]]:
    """Manifests that are refused."""
    for name, change in CHANGES.items():
        yield name, _text(_with(change))
    for field in MINIMAL:
        yield f"without_{field}", _text({k: v for k, v in MINIMAL.items() if k != field})
    text = _text(MINIMAL)
    yield "nothing", b""
    yield "cut", text[:-3]
    yield "followed_by_something", text + b"{}"
    yield "no_object", b"[" + text + b"]"
    yield "no_utf8", text.replace(b"huber", b"h\xfcber")


def _with(change: Change) -> Fields:
    manifest = copy.deepcopy(MINIMAL)
    change(manifest)
    return manifest


def _text(manifest: Fields) -> bytes:
    return (json.dumps(manifest, indent=1) + "\n").encode()


def write() -> None:
    """Writes all manifests."""
    for kind, manifests in (("valid", valid()), ("invalid", invalid())):
        (FOLDER / kind).mkdir(exist_ok=True)
        for name, text in manifests:
            (FOLDER / kind / f"{name}.json").write_bytes(text)


if __name__ == "__main__":
    write()
