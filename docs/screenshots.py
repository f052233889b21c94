"""Draw the pictures of docs/tour.md from the demo survey: `make screenshots`.

A server of its own, a real browser, and the same steps that the tour tells; a picture shows what they led to.
"""

from __future__ import annotations

import io
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [f"{ROOT}", f"{ROOT / 'tests'}"]

from browser import FLAGS, chromium, served  # noqa: E402 - of the tests

from rrs_core.survey.catalogue import load  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

OUT = ROOT / "docs" / "images"
WIDTH, LONG_MS = 1280, 180_000


def settled(page: Page) -> None:
    """Wait until the server has answered and nothing runs."""
    page.locator("h1").wait_for()
    page.wait_for_timeout(1_000)
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    page.wait_for_timeout(2_500)


def save(page: Page, name: str, height: int = 900) -> None:
    """Write what is on the screen."""
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_timeout(1_500)
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(OUT / f"{name}.png", optimize=True)


def lasso(page: Page, x: float, y: float, radius: float) -> None:
    """Draw a circle on the map; shares of its width and height."""
    box = page.locator(".map[data-drawn]").bounding_box()
    if box is None:
        raise RuntimeError("the map is not on the screen")
    corners = [
        (
            box["x"] + box["width"] * x + box["width"] * radius * math.cos(k / 20 * math.pi),
            box["y"] + box["height"] * y + box["width"] * radius * math.sin(k / 20 * math.pi),
        )
        for k in range(41)
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner)
    page.mouse.up()


def main() -> None:
    """Draw all pictures."""
    survey = load(ROOT / "cache" / "demo")
    strongest = survey.events[survey.events["verdict"] == "event"].sort_values("snr").iloc[-1]
    hit, candidate = int(strongest["hit_ids"][0]), int(strongest["event_id"])
    largest = int(survey.superclusters.sort_values("n_hits")["cluster_id"].iloc[-1])
    with (
        tempfile.TemporaryDirectory() as folder,
        served(survey.store.root, Path(folder) / "server.log") as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.set_default_timeout(LONG_MS)
        for name, path, height in (
            ("overview", "", 900),
            ("hits", "hits", 1000),
            ("clusters", f"clusters?cluster={largest}", 1250),
            ("events", f"events?event={candidate}", 1500),
            ("hit", f"hit?hit={hit}", 1300),
            ("lookalikes", f"lookalikes?hit={hit}", 1100),
            ("review", "review?queue=anomalies", 900),
            ("latents", "latents", 1000),
        ):
            page.goto(f"{address}/{path}")
            settled(page)
            save(page, name, height)
        page.set_viewport_size({"width": WIDTH, "height": 1250})
        page.goto(f"{address}/map?drawn=webgl&colour=cluster")
        settled(page)
        lasso(page, 0.5, 0.35, 0.12)
        page.locator(".tile").first.wait_for()
        save(page, "map", 1250)
        browser.close()


if __name__ == "__main__":
    main()
