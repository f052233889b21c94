"""A real server and a real browser for the tests that need both."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

    from playwright.sync_api import ConsoleMessage, Page, Request

ROOT = Path(__file__).resolve().parents[1]
LONG_MS = 60_000  #: longest that anything on a page is waited for
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
#: WebGL in software, for machines without a display; no sandbox because test containers run as root.
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
CALLS = itertools.count()  #: of `settled`: each begins to wait anew


def chromium() -> str:
    """Return the path of a Chromium: `CHROMIUM`, else the first found in PATH; fail where there is none."""
    given = os.environ.get("CHROMIUM")
    found = given if given and Path(given).is_file() else next(filter(None, map(shutil.which, NAMES)), None)
    if given and found != given:
        pytest.fail(f"CHROMIUM={given} is not a file: the browser tests cannot run")
    if found is None:
        pytest.fail(
            "no Chromium found: the browser tests cannot run. Install one (apt-get install chromium), "
            "or say where it is with CHROMIUM=/path/to/chromium; leave the tests out with: pytest -m 'not browser'"
        )
    return found


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(survey: Path, log: Path) -> Iterator[str]:
    """Serve a survey on a free port of this machine; give its address, and stop the server at the end."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", f"{port}"]
    address = f"http://127.0.0.1:{port}"
    with running(command, f"{address}/_stcore/health", log, {"RRS_SURVEY": f"{survey}"}):
        yield address


@contextlib.contextmanager
def running(
    command: list[str], health: str, log: Path, environment: dict[str, str], healthy: tuple[int, ...] = (200,)
) -> Iterator[None]:
    """Run a server until the end, from when its address `health` answers as a healthy one does."""
    with log.open("w") as out:
        given = {**os.environ, **environment}
        server = subprocess.Popen(command, cwd=ROOT, env=given, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait_until_healthy(health, server, log, healthy)
            yield
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_until_healthy(health: str, server: subprocess.Popen[bytes], log: Path, healthy: tuple[int, ...]) -> None:
    opener = urllib.request.build_opener(AsItIs)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if server.poll() is not None:
            pytest.fail(f"the server ended at its start: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), opener.open(health, timeout=5) as answer:
            if answer.status in healthy:
                return
        time.sleep(0.2)
    pytest.fail(f"the server did not come up within a minute: {log.read_text()[-2000:]}")


class AsItIs(urllib.request.HTTPErrorProcessor):
    """Take every answer as it is: no redirect is followed, no status is an error."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:  # noqa: ARG002
        """Return the answer."""
        return response

    https_response = http_response


def settled(page: Page, still_ms: int = 400) -> None:
    """Wait until the server has answered and nothing runs: connected, and no script at work for `still_ms` on end.

    A run that a click asks for begins a moment after the click, and a page's own run a moment after it is connected:
    one look at the state would see the rest in between.
    """
    page.wait_for_function(
        """([still, call]) => {
            const app = document.querySelector('[data-testid=stApp]');
            const quiet = app?.dataset.testScriptState === 'notRunning'
                && app.dataset.testConnectionState === 'CONNECTED' && !document.querySelector('[data-stale=true]');
            if (!quiet) { window.quiet = undefined; return false; }
            if (window.quiet?.call !== call) window.quiet = { call, since: performance.now() };
            return performance.now() - window.quiet.since >= still;
        }""",
        arg=[still_ms, next(CALLS)],
        polling=50,
    )


def shown(page: Page) -> str:
    """Return the address and the text of a page, and what state its app is in."""
    found: str = page.evaluate(
        """() => [location.href, JSON.stringify(document.querySelector('[data-testid=stApp]')?.dataset ?? null),
        document.body?.innerText ?? ''].join(String.fromCharCode(10))"""
    )
    return found


class Watch:
    """What a page did that nobody sees: errors, requests that leave the machine, dialogs."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.dialogs: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"{error}"))
        page.on("request", self._request)
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def _console(self, message: ConsoleMessage) -> None:
        # A page's own address makes the client ask for PAGE/_stcore/... first, which is not there: known, harmless.
        known = "404" in message.text and "/_stcore/" in message.location.get("url", "")
        if message.type == "error" and not known:
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname != "127.0.0.1":
            self.foreign.append(request.url)

    def is_clean(self) -> bool:
        """Fail with what was seen, if anything was."""
        assert not self.errors, self.errors
        assert not self.foreign, self.foreign
        assert not self.dialogs, self.dialogs
        return True
