"""Operations and records become one document.

A route of the application and a row of ``OPERATIONS`` belong together; a test compares the two, and
another talks to the server as this describes it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from .... import __version__
from ....protocol.errors import PocketFedError
from ....protocol.problems import Problem
from ....protocol.record import Record
from .device import DEVICE
from .itself import ITSELF, PAGE
from .operation import Access, Answer, Operation
from .operator import OPERATOR

OPERATIONS = (*DEVICE, *OPERATOR, *ITSELF, *PAGE)
JSON = "application/json"
PROBLEM = "application/problem+json"
_PARAMETER = re.compile(r"<(?:path:)?(\w+)>")
_REFERENCE = "#/components/schemas/{name}"
_SCHEMES: dict[Access, list[dict[str, list[str]]]] = {
    Access.NONE: [],
    Access.DEVICE: [{"device": []}],
    Access.OPERATOR: [{"operator": []}],
    Access.EITHER: [{"device": []}, {"operator": []}],
    Access.METRICS: [{}, {"metrics": []}],
}


@cache
def describe() -> dict[str, Any]:
    """The whole document, as plain values."""
    schemas, components = msgspec.json.schema_components(_records(), ref_template=_REFERENCE)
    references = dict(zip(_records(), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(_PARAMETER.sub(r"{\1}", operation.route), {})
        path[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pocketfed",
            "version": __version__,
            "description": "Federated learning for phones. docs/protocol.md is normative.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: _portable(schema) for name, schema in components.items()},
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer"}
                for name in ("device", "operator", "metrics")
            },
        },
    }


def _records() -> list[type]:
    kinds: list[type] = [Problem]
    for operation in OPERATIONS:
        found = [operation.body, *(answer.body for answer in operation.answers)]
        kinds += [kind for kind in found if isinstance(kind, type) and kind not in kinds]
    return kinds


def _operation(operation: Operation, references: dict[type, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": _SCHEMES[operation.access],
        "parameters": [*_in_path(operation), *_in_head(operation), *_in_query(operation)],
        "responses": {
            **_answers(operation.answers, references),
            **_problems(operation.errors, references),
        },
    }
    if operation.body is not None:
        content = _content(operation.body, references)
        described["requestBody"] = {"required": True, "content": content}
    return described


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(operation.route)
    ]


def _in_head(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": is_required, "schema": {"type": "string"}}
        for name, is_required in operation.headers.items()
    ]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "schema": {"type": "integer", "minimum": 1}}
        for name in operation.query
    ]


def _answers(answers: tuple[Answer, ...], references: dict[type, Any]) -> dict[str, Any]:
    """One entry a status: answers that share one are alternatives."""
    described: dict[str, Any] = {}
    for answer in answers:
        entry = described.setdefault(str(answer.status), {"description": answer.meaning})
        if entry["description"] != answer.meaning:
            entry["description"] += f"; or {answer.meaning}"
        if answer.body is None:
            continue
        for media_type, content in _content(answer.body, references).items():
            known = entry.setdefault("content", {}).setdefault(media_type, content)
            if known != content:
                alternatives = known["schema"].get("anyOf", [known["schema"]])
                entry["content"][media_type] = {
                    "schema": {"anyOf": [*alternatives, content["schema"]]}
                }
    return described


def _problems(errors: tuple[type[PocketFedError], ...], references: dict[type, Any]) -> Any:
    """One entry a status, which names the codes that travel under it."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error.code)
    return {
        str(status): {
            "description": ", ".join(codes),
            "content": {
                PROBLEM: {
                    "schema": {
                        "allOf": [
                            references[Problem],
                            {"properties": {"code": {"enum": sorted(codes)}}},
                        ]
                    }
                }
            },
        }
        for status, codes in sorted(by_status.items())
    }


def _content(body: type[Record] | str, references: dict[type, Any]) -> dict[str, Any]:
    """A record as JSON, or bytes of a media type."""
    if isinstance(body, str):
        return {body: {}}
    return {JSON: {"schema": references[body]}}


def _portable(schema: Any) -> Any:
    r"""Patterns as ECMAScript has them: its ``$`` is what Python calls ``\Z``."""
    if isinstance(schema, dict):
        return {
            name: value.replace("\\Z", "$") if name == "pattern" else _portable(value)
            for name, value in schema.items()
        }
    return [_portable(one) for one in schema] if isinstance(schema, list) else schema
