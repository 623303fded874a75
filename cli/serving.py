"""The commands of a server's own machine: serve, coordinate, audit.

Each imports the server when it runs, so that the other commands work without it.
"""

from __future__ import annotations

import os

from .flags import groups
from .flags.groups import Values
from .flags.parsing import CommandFailed, exactly
from .tables import show_audit


def serve(words: list[str], values: Values) -> None:
    from ..server.config import SETTINGS, load
    from ..server.running.serve import serve

    exactly(words)
    given = {setting.name: values[setting.name].value for setting in SETTINGS}
    serve(load(flags=given, environment=os.environ))


def coordinate(words: list[str], values: Values) -> None:
    from ..server.config import SETTINGS, load
    from ..server.running.coordinate import coordinate

    exactly(words)
    given = {setting.name: values[setting.name].value for setting in SETTINGS}
    coordinate(load(flags=given, environment=os.environ))


def audit(words: list[str], values: Values) -> None:
    from ..server.config import load
    from ..server.operating.audit import audit

    exactly(words)
    given = {name: values[name].value for name in groups.AUDITED}
    findings = audit(load(flags=given, environment=os.environ))
    show_audit(findings)
    broken = sum(len(finding.violations) for finding in findings)
    if broken:
        raise CommandFailed(f"{broken} violations")
