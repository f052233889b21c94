"""How soon the command line and the dashboard are there, from a fresh process.

The dashboard's time runs from `streamlit run` to the end of the first page's script, by when the server has sent all of
the page. A client that draws nothing listens for that (the messages are Streamlit's own, `streamlit.proto`), so no
browser takes part; what one sees is timed beside it. What counts is the processor's time: on a core of its own nobody
waits longer, for hardly anything of it is done side by side; the time by the clock, which the machine's other work
adds to, is told too. Files are in the page cache: a first run of each is not counted.
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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.rows import Row, row

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, f"{ROOT / 'tests'}")

from browser import FLAGS, chromium, free_port  # noqa: E402 - of the tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

DEMO = ROOT / "cache" / "demo"
ROUNDS = 7
HELP_S, SERVED_S = 1.0, 3.0
PATIENCE_S = 120.0
LAST = "Stages"  #: heading of the overview's last part: what is there when all of it is


class Taken(NamedTuple):
    """How long something took."""

    cpu_s: float  #: the processor's time, of all threads
    wall_s: float


def run() -> list[Row]:
    """Measure."""
    from playwright.sync_api import sync_playwright

    if not DEMO.is_dir():
        raise SystemExit("bench start: there is no demo survey: make demo")
    load = f"{ROUNDS} fresh processes, load {os.getloadavg()[0]:.1f} at the start"
    taken: dict[str, list[Taken]] = {"help": [], "delivered": [], "seen": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        log = Path(folder) / "server.log"
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for _ in range(ROUNDS + 1):
            taken["help"].append(_help())
            taken["delivered"].append(_delivered(log))
            taken["seen"].append(_seen(browser, log))
        browser.close()
    cpu = {name: [one.cpu_s for one in times[1:]] for name, times in taken.items()}
    how = {
        name: f"{np.median([one.wall_s for one in times[1:]]):.2f} s by the clock; {load}"
        for name, times in taken.items()
    }
    return [
        row(f"rrs --help over {HELP_S:g} s", cpu["help"], HELP_S, "s", at_most=1.0, how=how["help"]),
        row(
            f"dashboard started, first page delivered, over {SERVED_S:g} s", cpu["delivered"], SERVED_S, "s",
            at_most=1.0, how=f"the server's share; the demo survey's overview; {how['delivered']}",
        ),
        row(
            f"the same with a browser that runs already, page seen whole, over {SERVED_S:g} s", cpu["seen"], SERVED_S,
            "s", how=f"the server's share, no goal; {how['seen']}, a new context of Chromium and its drawing included",
        ),
    ]  # fmt: skip


def _help() -> Taken:
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "rrs_core", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return Taken(children, wall)


@contextmanager
def _started(log: Path) -> Iterator[tuple[int, Callable[[], Taken]]]:
    """Start the dashboard on the demo survey, end it afterwards.

    Gives its port, before it listens, and what says how long it has taken.
    """
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", f"{port}"]
    with log.open("w") as out:
        start = time.perf_counter()
        server = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "RRS_SURVEY": f"{DEMO}"}, stdout=out, stderr=subprocess.STDOUT
        )

        def taken() -> Taken:
            words = Path(f"/proc/{server.pid}/stat").read_text().rsplit(") ", 1)[1].split()
            return Taken((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), time.perf_counter() - start)

        try:
            yield port, taken
        finally:
            server.send_signal(signal.SIGKILL)  # how it ends is not what is timed
            server.wait()


def _delivered(log: Path) -> Taken:
    """Wait from the start of a server until all of the first page has been sent."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.exceptions import InvalidHandshake
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    until = time.monotonic() + PATIENCE_S
    with _started(log) as (port, taken):
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
                        return taken()
    raise TimeoutError(f"the dashboard did not come up: {log.read_text()[-2000:]}")


def _seen(browser: Browser, log: Path) -> Taken:
    """Wait from the start of a server until a browser shows the whole first page."""
    with _started(log) as (port, taken):
        context = browser.new_context(viewport={"width": 1400, "height": 1300})
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        _listening(port)
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("heading", name=LAST, exact=True).wait_for()
        found = taken()
        context.close()
        return found


def _listening(port: int) -> None:
    import socket

    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
