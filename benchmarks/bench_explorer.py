"""The dashboard as a browser sees it: how soon it paints, how soon it answers, what a visitor costs.

A real server and a real Chromium with WebGL in software, on this machine, both on the same cores. Large surveys are
drawn (`make_large_survey`); answers are timed on the demo survey, `make demo`. What an answer takes is the time from
the last message that the browser sends to the last one that comes back, taken twice: in the browser's own clock, where
whatever the browser does before it listens to the next message counts, drawing above all; and on the way between both
(`relay`), where the server alone counts.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.relay import Relay, relayed
from benchmarks.rows import Row, row

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, f"{ROOT / 'tests'}")

from browser import FLAGS, chromium, served, settled  # noqa: E402 - of the tests
from make_survey import draw_snippet, make_large_survey  # noqa: E402 - of the tests
from playwright.sync_api import sync_playwright  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

DEMO = ROOT / "cache" / "demo"
LONG_MS = 180_000
PAINT_S = {100_000: 2.5, 1_000_000: 4.0, 5_000_000: 4.0}
VISITED = 1_000_000  #: hits of the survey that many browsers look at
LASSO_S, UPLOAD_S, FRAGMENT_S, FULL_S = 1.0, 2.0, 0.3, 0.8
VISITOR_MB, VISITORS = 10.0, 12
ROUNDS = 5
#: What the browser notes of its talk with the server, from before anything of the page has run.
NOTES = """
window.talk = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (!this.noted) this.addEventListener('message', () => talk.push(['came', performance.now()]));
  this.noted = true;
  talk.push(['sent', performance.now()]);
  return send.call(this, data);
};
"""


def run() -> list[Row]:
    """Measure; wall clock, since people wait by it."""
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for n, goal in PAINT_S.items():
            survey = make_large_survey(Path(folder) / f"{n}", n)
            with served(survey, Path(folder) / f"{n}.log") as address:
                painted, lassoed = _large(browser, address)
                rows.append(
                    row(
                        f"map of {n:,} hits painted over {goal} s", _median(painted), goal, "s", at_most=1.0,
                        how=f"new browser context, warm server, address to last point; {_spread(painted)}; {load}",
                    )
                )  # fmt: skip
                if n >= VISITED:
                    rows.append(
                        row(
                            f"lasso to gallery at {n:,} over {LASSO_S} s", _median(lassoed), LASSO_S, "s",
                            at_most=1.0, how=f"mouse released to first tile; {_spread(lassoed)}; {load}",
                        )
                    )  # fmt: skip
                if n == VISITED:
                    rows.append(_visitors(browser, address, n))
                if n > VISITED:
                    rows += _answers(
                        *_large_answers(browser, address),
                        f" at {n:,}",
                        "lassos and turns of the wheel on Map",
                        "choices on Map and Hits",
                        load,
                    )
            shutil.rmtree(survey)
        if not DEMO.is_dir():
            raise SystemExit("bench explorer: there is no demo survey: make demo")
        with served(DEMO, Path(folder) / "demo.log") as address:
            rows += _demo(browser, address, Path(folder), load)
        browser.close()
    return rows


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    """Give a page of a browser that has never been here."""
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    context.set_default_timeout(LONG_MS)
    context.add_init_script(NOTES)
    yield context.new_page()
    context.close()


def _large(browser: Browser, address: str) -> tuple[list[float], list[float]]:
    """Return how long a map took to be painted, and a lasso to show its tiles, each in a new browser [s]."""
    painted, lassoed = [], []
    for round_ in range(ROUNDS + 1):
        with _page(browser) as page:
            start = time.perf_counter()
            page.goto(f"{address}/map?colour=side&drawn=webgl")
            page.locator(".map[data-drawn]").wait_for()
            painted.append(time.perf_counter() - start)
            settled(page)
            _lasso(page)
            start = time.perf_counter()
            page.locator(".tile canvas").first.wait_for()
            lassoed.append(time.perf_counter() - start)
        if not round_:  # the server was cold
            painted.clear()
            lassoed.clear()
    return painted, lassoed


def _lasso(page: Page) -> None:
    box = page.locator(".map").bounding_box()
    assert box
    for step in range(41):
        angle = step / 20 * math.pi
        page.mouse.move(
            box["x"] + box["width"] * (0.5 + 0.2 * math.cos(angle)),
            box["y"] + box["height"] * (0.5 + 0.2 * math.sin(angle)),
        )
        if not step:
            page.mouse.down()
    page.mouse.up()


def _visitors(browser: Browser, address: str, n: int) -> Row:
    """Measure what the server's memory grows by for each further browser that looks at the map and lassoes [MB]."""
    (server,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()[-1:]

    def memory() -> float:
        pages = int(Path(f"/proc/{server}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    contexts = []
    try:
        before = 0.0
        for visitor in range(VISITORS + 2):
            if visitor == 2:  # what is shared has been made
                before = memory()
            context = browser.new_context(viewport={"width": 1400, "height": 1300})
            context.set_default_timeout(LONG_MS)
            contexts.append(context)
            page = context.new_page()
            page.goto(f"{address}/map?colour=side&drawn=webgl")
            page.locator(".map[data-drawn]").wait_for()
            settled(page)
            _lasso(page)
            page.locator(".tile canvas").first.wait_for()
            settled(page)
        grown = (memory() - before) / VISITORS
    finally:
        for context in contexts:
            context.close()
    return row(
        f"memory for one more visitor at {n:,} over {VISITOR_MB} MB", grown, VISITOR_MB, "MB", at_most=1.0,
        how=f"resident memory of the server, mean of {VISITORS} browsers that stay and hold a selection",
    )  # fmt: skip


def _demo(browser: Browser, address: str, folder: Path, load: str) -> list[Row]:
    """Time answers on the demo survey: runs of a fragment, of a whole page, and an upload."""
    fragments: list[Answer] = []
    wholes: list[Answer] = []
    uploads, first = [], []
    rng = np.random.default_rng(0)
    with _page(browser) as page, relayed(address) as relay:
        _open(page, f"{relay.address}/review?queue=anomalies")
        for key in "jjjjjjjjjj":
            fragments.append(_answer(page, relay, lambda key=key: page.keyboard.press(key)))
        hit = _first_event()
        _open(page, f"{relay.address}/hit?hit={hit}")
        for name in ("Decibels", "Linear", "Asinh", "2 kHz", "10 kHz", "As its track needs"):
            fragments.append(_answer(page, relay, lambda name=name: _press(page, name)))
        for name in ("OFF scans", "Other targets", "Other bands", "ON scans"):
            fragments.append(_answer(page, relay, lambda name=name: _press(page, name)))
        _open(page, f"{relay.address}/map?drawn=webgl")
        page.locator(".map[data-drawn]").wait_for()
        for _ in range(5):
            fragments.append(_answer(page, relay, lambda: _lasso(page)))
        for colour in ("Supercluster", "Target", "Cadence", "ON / OFF", "Common or anomaly"):
            wholes.append(_answer(page, relay, lambda colour=colour: _choose(page, "Colour by", colour)))
        for view in ("Features", "Latents, principal components", "Frequency and scan", "Latents"):
            wholes.append(_answer(page, relay, lambda view=view: _choose(page, "View", view)))
        _open(page, f"{relay.address}/hits")
        for snr in ("12", "20", "30", "50", "100"):
            wholes.append(_answer(page, relay, lambda snr=snr: _type(page, "SNR from", snr)))
        _open(page, f"{relay.address}/clusters")
        for fewest in ("2", "10", "100", "1000"):
            wholes.append(_answer(page, relay, lambda fewest=fewest: _type(page, "Fewest hits", fewest)))
        _open(page, f"{relay.address}/lookalikes?hit={hit}")
        for _ in range(5):
            wholes.append(_answer(page, relay, lambda: _step(page, "Number of results")))
        _open(page, f"{relay.address}/events")
        for cadence in ("1", "2", "5", "8"):
            wholes.append(_answer(page, relay, lambda cadence=cadence: _choose(page, "Cadence", cadence)))
    for _ in range(ROUNDS):
        with _page(browser) as page:
            _open(page, f"{address}/lookalikes")
            for name, taken in (("first.npy", first), ("second.npy", uploads)):
                np.save(folder / name, draw_snippet("drifting line", rng))
                start = time.perf_counter()
                page.locator("input[type=file]").set_input_files(folder / name)
                page.get_by_role("heading", name=f"Upload {name}").wait_for()
                page.locator(".tile canvas").first.wait_for()
                settled(page, 0)
                taken.append(time.perf_counter() - start)
                page.wait_for_timeout(1000)
    return [
        *_answers(
            fragments, wholes, "", "keys, choices and lassos on Review, Hit and Map",
            "choices on Map, Hits, Clusters, Lookalikes and Events", load,
        ),
        row(
            f"upload to results over {UPLOAD_S} s", _median(uploads), UPLOAD_S, "s", at_most=1.0,
            how=(
                f"snippet of 32 kB to all tiles; {_spread(uploads)}; the first of a browser that has drawn no plot "
                f"yet: {_spread(first)}; {load}"
            ),
        ),
    ]  # fmt: skip


def _large_answers(browser: Browser, address: str) -> tuple[list[Answer], list[Answer]]:
    """Time answers on a large survey without clusters: runs of the map's fragments, and of whole pages."""
    fragments: list[Answer] = []
    wholes: list[Answer] = []
    with _page(browser) as page, relayed(address) as relay:
        _open(page, f"{relay.address}/map?drawn=webgl")
        page.locator(".map[data-drawn]").wait_for()
        for _ in range(5):
            fragments.append(_answer(page, relay, lambda: _lasso(page)))
        for turn in (-300, -300, -300, 300, 300):
            fragments.append(_answer(page, relay, lambda turn=turn: page.mouse.wheel(0, turn)))
        for colour in ("Target", "Cadence", "SNR [1]", "ON / OFF"):
            wholes.append(_answer(page, relay, lambda colour=colour: _choose(page, "Colour by", colour)))
        for view in ("Frequency and scan", "Latents"):
            wholes.append(_answer(page, relay, lambda view=view: _choose(page, "View", view)))
        _open(page, f"{relay.address}/hits")
        for snr in ("12", "100", "500", "900", "970"):
            wholes.append(_answer(page, relay, lambda snr=snr: _type(page, "SNR from", snr)))
    return fragments, wholes


def _answers(
    fragments: list[Answer], wholes: list[Answer], where: str, acts: str, choices: str, load: str
) -> list[Row]:
    """Return rows of how soon answers came, from the server and as the browser sees it."""
    rows: list[Row] = []
    for name, what, answers, goal in (
        (f"a fragment's answer{where}", acts, fragments, FRAGMENT_S),
        (f"a whole page's answer{where}", choices, wholes, FULL_S),
    ):
        for seen, taken in (
            ("from the server", [answer.served_s for answer in answers]),
            ("seen by the browser", [answer.seen_s for answer in answers]),
        ):
            rows.append(
                row(
                    f"{name} {seen}, 95th percentile over {goal} s", float(np.quantile(taken, 0.95)), goal, "s",
                    at_most=1.0, how=f"{len(taken)} {what}; {_spread(taken)}; {load}",
                )
            )  # fmt: skip
    return rows


def _first_event() -> int:
    from rrs_core.survey.catalogue import load

    events = load(DEMO).events
    return int(events[events["verdict"] == "event"].sort_values("snr").iloc[-1]["hit_ids"][0])


def _open(page: Page, url: str) -> None:
    page.goto(url)
    page.locator("h1").first.wait_for()
    settled(page, 1500)


class Answer(NamedTuple):
    """How long an answer took [s]."""

    served_s: float
    seen_s: float


def _answer(page: Page, relay: Relay, act: Callable[[], object]) -> Answer:
    """Time the answer to something that a visitor does."""
    page.evaluate("talk.length = 0")
    relay.asked.clear()
    relay.answered.clear()
    act()
    settled(page, 600)
    talk = page.evaluate("talk")
    sent = [at for what, at in talk if what == "sent"]
    came = [at for what, at in talk if what == "came"]
    if not sent or not came:
        raise RuntimeError(f"nothing was asked or answered at {page.url}")
    return Answer(relay.answered[-1] - relay.asked[-1], float(came[-1] - sent[-1]) / 1e3)


def _press(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name)).first.click()


def _choose(page: Page, box: str, option: str) -> None:
    page.get_by_role("combobox", name=box).first.click()
    page.get_by_role("option", name=option, exact=True).first.click()


def _type(page: Page, box: str, text: str) -> None:
    field = page.get_by_role("spinbutton", name=box).first
    field.fill(text)
    field.press("Enter")


def _step(page: Page, name: str) -> None:
    page.get_by_role("slider", name=name).first.press("ArrowRight")


def _median(taken: list[float]) -> float:
    return float(np.median(taken))


def _spread(taken: list[float]) -> str:
    return f"median {np.median(taken):.2f}, {min(taken):.2f} to {max(taken):.2f} s in {len(taken)}"
