"""The operator's page in a real browser, against a real server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pocketfed.protocol.admin import PostEvaluation
from pocketfed.protocol.messages import Capabilities, CheckIn, Outcome, Report
from pocketfed.protocol.plan import EvaluationSettings

pytestmark = pytest.mark.slow
CURIOUS = 'new "accuracy" <b>&amp;'


@pytest.fixture
def page(live, browser, server) -> Iterator[Any]:
    """A browser that is logged in to a server in the middle of its third round."""
    changes = {"goal": 2, "over_selection": 2.0, "minimum_fraction": 0.5}
    changes |= {"selection_timeout_s": 7200.0, "compute_timeout_s": 7200.0}
    live.create_task(server.delta(1.0), **changes)
    phones = [live.phone() for _ in range(4)]
    for number, loss in enumerate((2.0, 0.5)):
        for phone in phones[:2]:
            phone.serve(server.delta(0.25), loss=loss)
        live.wait_for_version(number + 1)
    phones[2].check_in()
    phones[3].check_in()
    phones[3].deliver(server.delta(0.25), loss=0.25)
    browser.log_in(live.url, (live.data / "admin.token").read_text().strip())
    browser.wait_for("document.querySelector('table') !== null")
    yield browser
    assert browser.complaints == []


def keep(browser: Any, name: str) -> None:
    """Leaves a picture where POCKETFED_PICTURES says, for a person to look at."""
    folder = os.environ.get("POCKETFED_PICTURES")
    if folder:
        (Path(folder) / f"{name}.png").write_bytes(browser.picture())


def test_a_wrong_token_stays_at_the_log_in(live, browser) -> None:
    browser.log_in(live.url, "wrong")
    browser.wait_for("document.querySelector('[role=alert]') !== null")
    keep(browser, "refused")
    assert browser.run("document.querySelector('table')") is None


def test_the_page_shows_the_task_and_its_round(page) -> None:
    text = page.text()
    for said in ("population phones", "Round 3 is selecting", "1 of 2", "training 1", "accepted 1"):
        assert said in text, text
    assert "checked in" in text
    assert "still on the way 1" in text
    assert page.run("document.querySelectorAll('table')[0].rows.length") == 4
    assert page.run("document.querySelectorAll('table')[1].rows.length") == 4


def test_the_loss_is_drawn_over_the_checkpoints(page) -> None:
    spoken = page.run("document.querySelector('.chart svg').getAttribute('aria-label')")
    assert spoken == "loss: training 0.5 at checkpoint 2"
    points = page.run("document.querySelector('.chart polyline').getAttribute('points')").split()
    (first_x, first_y), (last_x, last_y) = (
        [float(number) for number in point.split(",")] for point in points
    )
    assert first_x < last_x
    assert first_y < last_y  # down the page: the loss falls


def test_what_is_left_of_the_phase_counts_down(page) -> None:
    read = "[...document.querySelectorAll('dd span')].at(-1).textContent"
    first = page.wait_for(f"{read}.startsWith('1 h 59') ? {read} : null")
    assert first == "1 h 59 min"


def test_the_page_follows_the_server_without_being_reloaded(page, live) -> None:
    page.run("window.isTheSame = true")
    live.admin.stop("task")
    page.wait_for("document.body.innerText.includes('The task is stopped after 2 rounds')")
    assert page.run("window.isTheSame") is True
    assert "round abandoned 1" in page.text()
    keep(page, "stopped")


def test_a_checkpoint_can_be_downloaded(page, live) -> None:
    newest = live.admin.history("task").task.checkpoint
    got = page.run(
        "fetch(document.querySelector('a[download]').href).then(a => a.arrayBuffer())"
        ".then(b => crypto.subtle.digest('SHA-256', b))"
        ".then(d => [...new Uint8Array(d)].map(x => x.toString(16).padStart(2, '0')).join(''))"
    )
    assert got == newest.sha256


def test_checkpoints_measured_by_devices_are_shown_beside_training(live, browser, server) -> None:
    changes = {"goal": 1, "over_selection": 3.0, "selection_timeout_s": 7200.0}
    live.create_task(server.delta(1.0), evaluation=EvaluationSettings(goal=2), **changes)
    message = CheckIn(client_version="1", capabilities=Capabilities(kinds=("evaluate",)))
    for version in (1, 2, 3):
        live.phone().serve(server.delta(0.25))
        live.wait_for_version(version)
        judges = [live.phone() for _ in range(2 if version < 3 else 1)]
        for judge in judges:
            judge.check_in(message=message)
        for judge in judges:
            metrics = {"accuracy": version / 4}
            report = Report(outcome=Outcome.COMPLETED, num_examples=10, metrics=metrics)
            judge.client.report(judge.place.assignment_id, report)
        measured = min(version, 2)
        wait_until(lambda: len(live.admin.history("task").evaluations) == measured)  # noqa: B023
    live.admin.post_evaluation(
        "task", PostEvaluation(version=3, num_examples=100, metrics={"accuracy": 0.5})
    )
    live.admin.roll_back("task", version=1)
    browser.log_in(live.url, (live.data / "admin.token").read_text().strip())
    browser.wait_for("document.querySelectorAll('table').length === 3")
    text = browser.text()
    for said in (
        "Round 4.2 is selecting",
        "Measuring checkpoint 3: selecting",
        "1 of 2",
        "Accuracy by checkpoint",
        "From a place to a measurement",
        "Checkpoints measured by devices",
        "weights of 1",
    ):
        assert said in text, text
    spoken = [
        browser.run(f"document.querySelectorAll('.chart svg')[{index}].getAttribute('aria-label')")
        for index in range(2)
    ]
    assert any("phones 0.5 at checkpoint 2; operator 0.5" in one for one in spoken), spoken
    assert "until selecting ends" in text
    keep(browser, "measured")
    for width in (390, 1280):
        browser.look_like(width=width, height=844)
        browser.wait_for(
            f"document.querySelector('.chart svg').getAttribute('viewBox').split(' ')[2] < {width}"
        )
        keep(browser, f"measured-{width}")
        assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.complaints == []


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20.0
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def test_a_server_that_is_gone_is_said_to_be(page, live) -> None:
    live.kill()
    page.wait_for("document.querySelector('.link.lost') !== null")
    keep(page, "gone")
    page.complaints.clear()  # the browser's own, of connections refused


def test_whatever_was_measured_becomes_a_curve_and_nothing_becomes_markup(page) -> None:
    """The curves are general over named series; names come from outside."""
    evaluations = [
        {"version": version, "source": source, "metrics": {CURIOUS: value, "loss": 1 - value}}
        for source, values in (("phones", (0.5, 0.75)), ("operator", (0.4, 0.8)))
        for version, value in enumerate(values)
    ]
    drawn = page.run(
        "(async () => {"
        "const {curves} = await import('/admin/static/parts.js');"
        f"const made = curves({{rounds: [], evaluations: {json.dumps(evaluations)}}}, 900);"
        "return [made.querySelectorAll('section').length, made.querySelectorAll('polyline').length,"
        " made.querySelectorAll('b').length, made.textContent]; })()"
    )
    assert drawn[:3] == [2, 4, 0]
    assert CURIOUS in drawn[3].replace("New", "new")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page, width, scheme) -> None:
    page.look_like(width=width, height=844, scheme=scheme)
    page.wait_for(
        f"document.querySelector('.chart svg').getAttribute('viewBox').split(' ')[2] < {width}"
    )
    keep(page, f"{width}-{scheme}")
    assert page.run("document.documentElement.scrollWidth") <= width
    hidden = (
        "[...document.querySelectorAll('.scroll')].map(one => one.scrollWidth - one.clientWidth)"
    )
    assert page.run(hidden) == [0, 0]
    background = page.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 24, 28)") == (scheme == "dark")
