"""How soon the command line and the dashboard are there, from a fresh process; wall clock, since people wait by it.

The dashboard's time runs from `streamlit run` to the end of the first page's script, by when the server has sent all of
the page. A client that draws nothing listens for that (the messages are Streamlit's own, `streamlit.proto`), so no
browser takes part; what one sees is timed beside it. Files are in the page cache: a first run of each is not counted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rows import Row, interleaved, row

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, f"{ROOT / 'tests'}")

from browser import FLAGS, chromium, free_port  # noqa: E402 - of the tests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

DEMO = ROOT / "cache" / "demo"
ROUNDS = 7
HELP_S, SERVED_S = 1.0, 3.0
PATIENCE_S = 120.0
LAST = "Stages"  #: heading of the overview's last part: what is there when all of it is


def run() -> list[Row]:
    """Measure."""
    from playwright.sync_api import sync_playwright

    if not DEMO.is_dir():
        raise SystemExit("bench start: there is no demo survey: make demo")
    load = f"{ROUNDS} fresh processes; load {os.getloadavg()[0]:.1f} at the start"
    (helped,) = interleaved(ROUNDS, _help, clock=time.perf_counter)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        log = Path(folder) / "server.log"
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        delivered, seen = interleaved(
            ROUNDS, lambda: _delivered(log), lambda: _seen(browser, log), clock=time.perf_counter
        )
        browser.close()
    return [
        row(f"rrs --help over {HELP_S:g} s", helped, HELP_S, "s", at_most=1.0, how=load),
        row(
            f"dashboard started, first page delivered by the server, over {SERVED_S:g} s",
            delivered, SERVED_S, "s", at_most=1.0, how=f"the demo survey's overview; {load}",
        ),
        row(
            f"the same, seen whole by a browser that runs already, over {SERVED_S:g} s",
            seen, SERVED_S, "s", how=f"a new context of a running Chromium, no goal; {load}",
        ),
    ]  # fmt: skip


def _help() -> None:
    subprocess.run([sys.executable, "-m", "rrs_core", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _started(log: Path) -> Iterator[int]:
    """Start the dashboard on the demo survey and give its port, before it listens; end it afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", f"{port}"]
    with log.open("w") as out:
        server = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "RRS_SURVEY": f"{DEMO}"}, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield port
        finally:
            server.send_signal(signal.SIGKILL)  # how it ends is not what is timed
            server.wait()


def _delivered(log: Path) -> None:
    """Wait from the start of a server until all of the first page has been sent."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.exceptions import InvalidHandshake
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    until = time.monotonic() + PATIENCE_S
    with _started(log) as port:
        while time.monotonic() < until:
            time.sleep(0.01)
            with (
                suppress(OSError, InvalidHandshake),
                connect(
                    f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None
                ) as socket,
            ):
                ask = BackMsg()
                ask.rerun_script.query_string = ""
                socket.send(ask.SerializeToString())
                headings = set()
                while time.monotonic() < until:
                    message = ForwardMsg.FromString(socket.recv(timeout=PATIENCE_S))  # type: ignore[arg-type]
                    headings.add(message.delta.new_element.heading.body)
                    if message.WhichOneof("type") == "script_finished":
                        assert LAST in headings, f"{log.read_text()[-2000:]}"  # an error has no speed
                        return
    raise TimeoutError(f"the dashboard did not come up: {log.read_text()[-2000:]}")


def _seen(browser: Browser, log: Path) -> None:
    """Wait from the start of a server until a browser shows the whole first page."""
    with _started(log) as port:
        context = browser.new_context(viewport={"width": 1400, "height": 1300})
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        _listening(port)
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("heading", name=LAST).wait_for()
        context.close()


def _listening(port: int) -> None:
    import socket

    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
