"""The operator's page shows how full a buffer is, and how far behind its updates are."""

from __future__ import annotations

import pytest
from pocketfed.protocol.plan import Buffering


@pytest.mark.slow
def test_the_page_shows_the_free_places_and_the_staleness_of_a_buffer(
    live, browser, server
) -> None:
    live.create_task(server.delta(1.0), goal=2, buffer=Buffering(concurrency=9))
    phones = [live.phone() for _ in range(3)]
    for phone in phones:
        phone.check_in()
    for phone in phones[:2]:
        phone.deliver(server.delta(0.25))
    live.wait_for_version(1)
    phones[2].deliver(server.delta(0.5))
    phones[0].check_in()
    browser.log_in(live.url, (live.data / "admin.token").read_text().strip())
    browser.wait_for("document.querySelector('table') !== null")
    text = " ".join(browser.text().split())
    for said in ("Round 2 is reporting", "1 of 2", "versions behind 1.00", "free 8", "training 1"):
        assert said in text, text
    assert browser.complaints == []
