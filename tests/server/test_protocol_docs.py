"""docs/protocol.md and the code speak of the same codes, statuses and paths."""

import re
from pathlib import Path

import pytest
from pocketfed.protocol import errors

DOCS = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
PAIRS = sorted(set(re.findall(r"\b(4\d\d|5\d\d) `([a-z_]+)`", DOCS)))
TABLE = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| .", DOCS, re.MULTILINE)
ROUTES = sorted(set(re.findall(r"`(GET|POST|PUT|DELETE) (/[^`]*)`", DOCS)))


def codes():
    kinds = [errors.PocketFedError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code: kind.status for kind in kinds}


@pytest.mark.parametrize(("status", "code"), PAIRS)
def test_every_documented_code_has_the_documented_status(status, code) -> None:
    assert codes()[code] == int(status)


def test_the_table_of_codes_is_that_of_the_errors_that_travel() -> None:
    roots = (errors.ProtocolError, errors.AccessError, errors.RoundError, errors.Unavailable)
    travelling = [(errors.PocketFedError.code, errors.PocketFedError.status)]
    travelling += [(kind.code, kind.status) for root in roots for kind in _tree(root)]
    travelling.remove((errors.NoAnswer.code, errors.NoAnswer.status))
    assert sorted((code, int(status)) for code, status in TABLE) == sorted(travelling)


def _tree(kind):
    return [kind, *(one for child in kind.__subclasses__() for one in _tree(child))]


def test_the_docs_name_routes() -> None:
    assert len(ROUTES) >= 12


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_documented_route_exists(server, method, path) -> None:
    path = re.sub(r"\{[^}]*\}", "x", path.replace("{file}", "page.css"))
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
