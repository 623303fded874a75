"""Chromium without a window, driven over the two pipes it offers for that."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 30.0
GONE = -32000


class Gone(Exception):
    """The page that was asked has made way for another one."""


class Browser:
    """One tab. Commands go to the browser's descriptor 3 and answers come from 4, ended by NUL."""

    def __init__(self, executable: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        command = [
            *(executable, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe"),
            f"--user-data-dir={profile}",
        ]

        # Chromium expects the descriptors 3 and 4, which may be taken here by other things.
        script = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", str(to_browser), str(from_browser), *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number = 0
        self._session: str | None = None
        self._rest = b""
        self.complaints: list[str] = []
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> Any:
        """Sends one command of the DevTools protocol and waits for its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if answer.get("error", {}).get("code") == GONE:
                    raise Gone(answer["error"]["message"])
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._listen(answer)

    def show(self, url: str) -> None:
        self.command("Page.navigate", url=url)

    def run(self, expression: str) -> Any:
        """The value of some JavaScript in the page."""
        found = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of some JavaScript once it is truthy."""
        give_up_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at:
            with suppress(Gone):
                value = self.run(expression)
                if value:
                    return value
            time.sleep(0.05)
        raise TimeoutError(f"never true: {expression}; the page: {self.text()[:2000]}")

    def text(self) -> str:
        return str(self.run("document.body?.innerText ?? ''"))

    def look_like(self, *, width: int, height: int, scheme: str = "light") -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", features=features)

    def picture(self) -> bytes:
        """The whole page as a PNG."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def log_in(self, url: str, token: str) -> None:
        self.show(f"{url}/admin")
        self.wait_for("document.querySelector('#token') !== null")
        self.run(f"document.querySelector('#token').value = {json.dumps(token)}")
        self.run("document.querySelector('form button').click()")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        os.close(self._write)
        os.close(self._read)

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            chunk = os.read(self._read, 1 << 16)
            assert chunk, "the browser has ended"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _listen(self, event: Any) -> None:
        """Keeps what the page complains about: exceptions, and what the policy has blocked."""
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        if method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Without Chromium the tests are skipped, or fail where all is required."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        say = pytest.fail if os.environ.get("POCKETFED_REQUIRE_ALL") == "1" else pytest.skip
        say("needs Chromium: apt-get install chromium")
    started = Browser(executable, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The browser without a cookie, at a desktop's size."""
    chromium.show("about:blank")
    chromium.command("Network.clearBrowserCookies")
    chromium.look_like(width=1280, height=900)
    chromium.complaints.clear()
    return chromium
