"""docs/protocol.md and the code speak of the same codes, statuses and paths."""

import re
from pathlib import Path

import pytest
from pocketfed.protocol import errors

DOCS = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
PAIRS = sorted(set(re.findall(r"\b(4\d\d|5\d\d) `([a-z_]+)`", DOCS)))
ROUTES = sorted(set(re.findall(r"`(GET|POST|PUT|DELETE) (/[^`]*)`", DOCS)))


def codes():
    kinds = [errors.PocketFedError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code: kind.status for kind in kinds}


@pytest.mark.parametrize(("status", "code"), PAIRS)
def test_every_documented_code_has_the_documented_status(status, code) -> None:
    assert codes()[code] == int(status)


def test_every_code_a_device_or_operator_can_meet_is_documented() -> None:
    named = set(re.findall(r"`([a-z_]+)`", DOCS))
    roots = (errors.ProtocolError, errors.AccessError, errors.RoundError)
    leaves = {kind.code for root in roots for kind in _leaves(root)}
    assert leaves <= named


def _leaves(kind):
    children = kind.__subclasses__()
    return [kind] if not children else [leaf for child in children for leaf in _leaves(child)]


def test_the_docs_name_routes() -> None:
    assert len(ROUTES) >= 12


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_documented_route_exists(server, method, path) -> None:
    path = re.sub(r"\{[^}]*\}", "x", path)
    answer = server.http.request(method, path)
    assert answer.status_code != 405
    assert answer.status_code != 404


def test_the_server_has_no_undocumented_route(server) -> None:
    documented = {(method, re.sub(r"\{[^}]*\}", "<>", path)) for method, path in ROUTES}
    served = {
        (method, re.sub(r"<[^>]*>", "<>", rule.rule))
        for rule in server.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == documented
