"""The server is as its description in OpenAPI says."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from openapi_spec_validator import validate
from pocketfed.protocol import wire
from pocketfed.server.web.openapi import OPERATIONS, describe
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

AUTOMATIC = {"HEAD", "OPTIONS"}
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 40
UNHURRIED = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much]


@schemathesis.serializer(wire.MEDIA_TYPE)
def as_it_is(context: Any, value: Any) -> Any:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def test_the_description_is_valid_openapi(server) -> None:
    served = server.http.get("/v1/openapi.json")
    assert served.headers["Content-Type"] == "application/json"
    assert served.json()["openapi"].startswith("3.1")
    validate(served.json())


def test_what_is_described_and_what_is_served_are_the_same(server) -> None:
    served = {
        (method, rule.rule)
        for rule in server.app.url_map.iter_rules()
        for method in (rule.methods or set()) - AUTOMATIC
    }
    described = [(operation.method, operation.route) for operation in OPERATIONS]
    assert len(described) == len(set(described))
    assert set(described) == served


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))


def test_every_problem_names_its_codes() -> None:
    answers = describe()["paths"]["/v1/assignments/{assignment_id}/update"]["put"]["responses"]
    assert answers["409"]["description"] == "round_closed, report_conflict"
    assert set(answers) >= {"200", "201", "400", "401", "403", "404", "409", "410", "411", "422"}


def test_patterns_are_those_of_ecmascript() -> None:
    text = json.dumps(describe())
    assert "[0-9a-f]{64}$" in text
    assert "Z" not in text.partition('"pattern": "^[0-9a-f]{64}')[2][:4]


@pytest.mark.slow
# schemathesis does not close the files that a download answers with.
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS])
def test_whatever_is_sent_the_answer_is_one_that_is_described(server, name) -> None:
    """schemathesis draws requests, good and bad, and compares each answer with the description."""
    server.create_task(rounds=None)
    phone = server.phone()
    phone.check_in()
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", server.app)
    operation: Any = schema.find_operation_by_id(name)
    known = {
        "assignment_id": phone.place.assignment_id,
        "population": "phones",
        "name": "task",
        "sha256": phone.place.checkpoint.sha256,
        "filename": "page.css",
        "device_id": phone.client.device.device_id,
    }
    is_operators = operation.path.startswith("/v1/admin")
    token = server.server.admin_token if is_operators else phone.token
    here = {one.name: known[one.name] for one in operation.path_parameters}
    cases: Any = st.one_of(
        [
            operation.as_strategy(generation_mode=mode, path_parameters=path)
            for mode in GenerationMode
            for path in ([here, None] if here else [None])
            if mode is GenerationMode.POSITIVE or operation.body or operation.query
        ]
    )

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=UNHURRIED,
    )
    @hypothesis.given(case=cases)
    def converse(case: Any) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        case.validate_response(answer, checks=CHECKS)

    converse()
