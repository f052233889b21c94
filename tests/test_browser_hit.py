"""The page of one hit in a real Chromium: reached, followed, gone back from, labelled and taken away."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import LONG_MS, Watch, served, settled
from make_event import make_event
from test_dossier import stands_alone
from test_pages_events import HOSTILE, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_event(tmp_path_factory.mktemp("surveys") / "shown", names=("HIP4436", HOSTILE[0]), features=True)


@pytest.fixture(scope="module")
def address(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(made.root, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


def show(page: Page, hit: int, address: str = "") -> None:
    """Open a hit by its address, where one is given, and wait until it is drawn."""
    if address:
        page.goto(f"{address}/hit?hit={hit}")
    page.get_by_role("heading", name=f"{hit} · ").wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    page.locator(".tile").first.wait_for()
    settled(page)


def test_from_a_gallery_to_a_hit_to_its_lookalike_and_back(page: Page, address: str, made: Made) -> None:
    watch = Watch(page)
    page.goto(f"{address}/lookalikes?hit={made.event[0]}")
    tile = page.locator(".tile").nth(2)
    tile.wait_for()
    settled(page)
    first = int(tile.get_attribute("data-hit") or "")
    tile.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("All about this hit").click()
    page.wait_for_url(f"**/hit?hit={first}")
    show(page, first)
    tile = page.locator(".tile").nth(1)
    second = int(tile.get_attribute("data-hit") or "")
    tile.click()
    dialog.get_by_text(f"Hit {second}").wait_for()
    dialog.get_by_text("All about this hit").click()
    page.wait_for_url(f"**/hit?hit={second}")
    show(page, second)
    assert page.get_by_role("dialog").count() == 0
    settled(page)
    page.go_back()
    page.wait_for_url(f"**/hit?hit={first}")
    show(page, first)
    settled(page)
    assert page.locator(f".tile.seen[data-hit='{second}']").count() == 1
    page.go_back()
    page.wait_for_url(f"**/lookalikes?hit={made.event[0]}")
    page.get_by_role("heading", name=f"Hit {made.event[0]}").wait_for()
    assert watch.is_clean()


def test_the_file_that_is_taken_away_stands_alone_and_opens_offline(
    page: Page, browser: Browser, address: str, made: Made, tmp_path: Path
) -> None:
    watch = Watch(page)
    hit = made.event[0]
    show(page, hit, address)
    with page.expect_download() as download:
        page.get_by_role("button", name="Take away as one file").click()
    assert download.value.suggested_filename == f"hit_{hit}.html"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert f"Hit {hit}" in " ".join(stands_alone(text).words)
    out = tmp_path / "taken.html"
    out.write_text(text, encoding="utf-8")
    context = browser.new_context(offline=True)
    other = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    other.on("request", lambda request: asked.append(request.url))
    other.on("console", lambda message: errors.append(message.text))
    other.goto(out.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [out.as_uri()]
    assert other.locator("img").evaluate_all("all => all.every(one => one.complete && one.naturalWidth === 256)")
    assert other.locator("svg").count() == 1 + 13
    assert not errors
    context.close()
    assert watch.is_clean()


def test_what_is_said_of_a_hit_stands_on_its_tile_elsewhere(page: Page, address: str, made: Made) -> None:
    watch = Watch(page)
    hit = made.event[1]
    show(page, hit, address)
    page.get_by_role("button", name="unsure").click()
    page.get_by_text("by you").wait_for()
    settled(page)
    page.goto(f"{address}/events?event=3")
    tile = page.locator(f".tile[data-hit='{hit}']").first
    tile.wait_for()
    assert "Labelled unsure." in (tile.get_attribute("aria-label") or "")
    assert watch.is_clean()


def test_an_unknown_hit_is_answered_with_a_way_on(page: Page, address: str, made: Made) -> None:
    watch = Watch(page)
    page.goto(f"{address}/hit?hit=<img src=x onerror=window.hostile=1>")
    page.get_by_text("There is no hit").wait_for()
    box = page.get_by_role("textbox", name="Hit id")
    box.fill(f"{made.off_hit}")
    box.press("Enter")
    show(page, made.off_hit)
    assert f"hit={made.off_hit}" in page.url
    page.get_by_text("the OFF hit that rejects it").wait_for()
    assert page.evaluate("window.hostile") is None
    assert watch.is_clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_it_fits_its_window_on_either_ground(
    width: int, scheme: str, browser: Browser, address: str, made: Made
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    context.set_default_timeout(LONG_MS)
    page = context.new_page()
    watch = Watch(page)
    show(page, made.event[0], address)
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth - main.clientWidth") <= 0
    ground = page.locator(".stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
    assert page.locator("[data-testid=stImage] img").count() == 13
    assert watch.is_clean()
    context.close()
