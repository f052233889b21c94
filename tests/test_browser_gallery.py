"""Galleries in a real Chromium: by keyboard, in other colours, within their budgets, and with a tile that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import LONG_MS, Watch, served, settled
from make_survey import make_survey

from rrs_core.survey.catalogue import Survey, load
from rrs_core.survey.labels import FILE, Labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
MOST_BYTES, MOST_ELEMENTS = 500_000, 300  #: of a page of 100 tiles
HOSTILE = "<img src=x onerror=window.hostile=1>"


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return load(make_survey(tmp_path_factory.mktemp("surveys") / "shown", names=("HIP4436", HOSTILE)))


@pytest.fixture(scope="module")
def address(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(survey.store.root, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


def show_hundred(page: Page, address: str, survey: Survey) -> None:
    """Open the lookalikes of a hit, 200 of them: two pages of 100 tiles."""
    page.goto(f"{address}/lookalikes?hit={survey.strongest()}")
    page.locator(".tile").first.wait_for()
    settled(page)
    page.get_by_role("slider", name="Number of results").focus()
    page.keyboard.press("End")
    page.locator(".tile").nth(99).wait_for()
    settled(page)


def focused(page: Page) -> str | None:
    """Return the hit of the tile that has the keyboard."""
    hit: str | None = page.locator(".grid").evaluate("g => g.getRootNode().activeElement?.dataset?.hit ?? null")
    return hit


def colours_of(page: Page, tile: int) -> set[tuple[int, ...]]:
    """Return the colours that a tile is painted in."""
    pixels = (
        page.locator(".tile canvas")
        .nth(tile)
        .evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)")
    )
    return {tuple(pixels[at : at + 3]) for at in range(0, len(pixels), 4)}


def test_a_page_of_a_hundred_keeps_its_budgets(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(len(frame))))
    show_hundred(page, address, survey)
    frames.clear()
    page.get_by_role("button", name="Page 2", exact=True).click()
    page.locator(".grid", has_text="#101 · score").wait_for()
    settled(page)
    assert page.locator(".tile").count() == 100
    assert 16 * 256 * 100 < max(frames) <= MOST_BYTES  # one message has them all
    assert sum(frames) < MOST_BYTES + 50_000
    elements = page.locator(".grid").evaluate("g => g.getRootNode().querySelectorAll('*').length")
    assert 200 <= elements <= MOST_ELEMENTS
    assert watch.is_clean()


def test_a_gallery_is_one_stop_of_the_tab_key_and_arrows_move_in_it(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    show_hundred(page, address, survey)
    hits = page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.dataset.hit)")
    page.locator(".reset").focus()
    page.keyboard.press("Tab")
    assert focused(page) == hits[0]
    page.keyboard.press("Tab")
    assert focused(page) is None
    page.keyboard.press("Shift+Tab")
    across = page.locator(".grid").evaluate("g => getComputedStyle(g).gridTemplateColumns.split(' ').length")
    assert across > 1
    for key, place in (
        ("ArrowLeft", 0), ("ArrowUp", 0), ("ArrowRight", 1), ("ArrowDown", 1 + across), ("ArrowLeft", across),
        ("ArrowUp", 0), ("End", 99), ("ArrowRight", 99), ("Home", 0), ("ArrowRight", 1),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert focused(page) == hits[place], key
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"Hit {hits[1]}").wait_for()
    settled(page)
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    tile = page.locator(f".tile[data-hit='{hits[1]}']")
    assert "Opened." in (tile.get_attribute("aria-label") or "")
    assert page.locator(".tile[tabindex='0']").count() == 1
    tile.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    dialog.get_by_text(f"Hit {hits[2]}").wait_for()
    settled(page)
    assert page.locator(".tile.seen").count() == 2
    assert watch.is_clean()


def test_colours_are_the_browsers_own_and_are_remembered(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(len(frame))))
    show_hundred(page, address, survey)
    assert sent
    sent.clear()
    usual = colours_of(page, 0)
    assert max(max(colour) - min(colour) for colour in usual) > 50
    page.get_by_label("Colours").select_option("Grey")
    grey = colours_of(page, 0)
    assert max(max(colour) - min(colour) for colour in grey) < 8
    for name in ("Brightness", "Contrast"):
        page.get_by_label(name).focus()
        page.keyboard.press("End")
    turned = colours_of(page, 0)
    assert turned != grey
    settled(page)
    assert not sent  # nothing of it is the server's business
    page.reload()
    page.locator(".tile").first.wait_for()
    settled(page)
    assert page.get_by_label("Colours").evaluate("s => s.selectedOptions[0].text") == "Grey"
    assert page.get_by_label("Contrast").input_value() == "1"
    assert colours_of(page, 0) == turned
    page.locator(".reset").click()
    assert colours_of(page, 0) == usual
    assert watch.is_clean()


def test_a_choice_that_is_none_is_the_usual_one(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    page.add_init_script('localStorage.setItem(\'rrs.gallery\', \'{"map": 99, "contrast": "x", "brightness": 7}\')')
    show_hundred(page, address, survey)
    assert page.get_by_label("Colours").evaluate("s => s.selectedOptions[0].text") == "Viridis"
    assert page.get_by_label("Brightness").input_value() == "1"
    page.add_init_script("localStorage.setItem('rrs.gallery', 'no JSON')")
    page.reload()
    page.locator(".tile").nth(9).wait_for()
    assert len(colours_of(page, 0)) > 10
    assert watch.is_clean()


def test_a_tile_that_fails_leaves_the_others_alone(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    page.add_init_script(
        """
        const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (...given) {
          const tile = this.closest?.(".tile");
          if (tile && [...tile.parentElement.children].indexOf(tile) === 2) return null;
          return get.apply(this, given);
        };
        """
    )
    page.goto(f"{address}/lookalikes?hit={survey.strongest()}")
    page.locator(".tile").nth(49).wait_for()
    settled(page)
    failed = page.locator(".tile[data-blank]")
    assert failed.count() == 1
    assert "no picture" in (failed.get_attribute("aria-label") or "")
    assert min(len(colours_of(page, place)) for place in (0, 1, 3, 49)) > 10
    assert watch.is_clean()


def test_a_label_is_on_the_tile_and_its_words_are_text(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    page.goto(f"{address}/lookalikes?hit={survey.strongest()}")
    page.locator(".tile").first.wait_for()
    hit = int(page.locator(".tile").nth(1).get_attribute("data-hit") or "")
    Labels(survey.store.root / FILE).add("ada", hit, HOSTILE)
    page.reload()
    tile = page.locator(f".tile[data-hit='{hit}']")
    tile.wait_for()
    assert "Labelled <img" in (tile.get_attribute("aria-label") or "")
    assert "<img" in tile.evaluate("t => getComputedStyle(t, '::before').content")
    assert page.evaluate("window.hostile") is None
    assert watch.is_clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_one_tile_a_row_and_scrolls_one_way(
    scheme: str, browser: Browser, address: str, survey: Survey
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 800})
    context.set_default_timeout(LONG_MS)
    page = context.new_page()
    watch = Watch(page)
    page.goto(f"{address}/lookalikes?hit={survey.strongest()}")
    page.locator(".tile").nth(9).wait_for()
    settled(page)
    assert page.locator(".grid").evaluate("g => g.scrollWidth - g.clientWidth") <= 0
    assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth - main.clientWidth") <= 0
    assert watch.is_clean()
    context.close()
