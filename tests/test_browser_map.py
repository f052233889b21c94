"""The map drawn by WebGL, driven as people do: what is drawn, what a lasso holds, and what travels for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import FLAGS, LONG_MS, Watch, chromium, served, settled
from make_survey import make_large_survey, make_survey
from playwright.sync_api import Browser, Page

from pages.components.mapsample import MOST_DRAWN
from rrs_core.figures.points import LAST, quantise
from rrs_core.survey.catalogue import Survey, load

pytestmark = pytest.mark.browser
TOOLS = {"Lasso": "lasso", "Box": "box", "Click": "pan"}


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return load(make_survey(tmp_path_factory.mktemp("map") / "survey", n_hits=240))


@pytest.fixture(scope="module")
def address(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(survey.store.root, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that is high enough for the whole map."""
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    context.set_default_timeout(LONG_MS)
    yield context.new_page()
    context.close()


def chart(page: Page) -> dict[str, float]:
    """Return where the map is within its border, once it is drawn."""
    page.locator(".map[data-drawn]").wait_for()
    settled(page)  # what a cold server shows meanwhile moves the map
    box = page.locator(".map").bounding_box()
    assert box
    return {"x": box["x"] + 1, "y": box["y"] + 1, "width": box["width"] - 2, "height": box["height"] - 2}


def places(survey: Survey) -> np.ndarray:
    """Return the pixel of each hit on the whole map, from its upper left corner as a share of its size."""
    shown = survey.projection.set_index("hit_id").loc[survey.table["hit_id"]]
    made = quantise(shown["x"].to_numpy(), shown["y"].to_numpy())
    return np.column_stack([made.xy[:, 0] / LAST, 1 - made.xy[:, 1] / LAST])


def clear(values: np.ndarray, near: float) -> float:
    """Return the place about one where a line is furthest from all points: no pixel decides what is inside."""
    lines = np.linspace(near - 0.1, near + 0.1, 201)
    return float(lines[np.abs(values[:, None] - lines).min(axis=0).argmax()])


def drag(page: Page, box: dict[str, float], corners: list[tuple[float, float]], key: str = "") -> None:
    """Drag through places that are shares of the map."""
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    if key:
        page.keyboard.down(key)
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y)
    page.mouse.up()
    if key:
        page.keyboard.up(key)


def circle(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    return [(x + radius * math.cos(k / 20 * math.pi), y + radius * math.sin(k / 20 * math.pi)) for k in range(41)]


def tool(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name, exact=True)).first.click()
    page.locator(f".map[data-tool={TOOLS[name]}]").wait_for()


def count(page: Page, *, other: int = -1) -> int:
    """Return how many hits are selected, once it is another number."""
    heading = page.get_by_role("heading", name=re.compile("^Selected: "))
    heading.filter(has_not_text=re.compile(f"Selected: {other} of")).wait_for()
    found = re.search(r"Selected: ([\d,]+) of", heading.inner_text())
    assert found
    return int(found.group(1).replace(",", ""))


def colours(page: Page) -> dict[str, int]:
    """Return how many pixels of the map are blue, orange or grey, from what is on the screen."""
    import io

    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(page.locator(".map").screenshot())).convert("RGB")).astype(int)
    red, green, blue = picture.reshape(-1, 3).T
    return {
        "blue": int(((blue > red + 60) & (blue > green + 20)).sum()),
        "orange": int(((red > blue + 80) & (red > green + 20)).sum()),
    }


def test_every_point_is_drawn_in_the_colour_of_its_group(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    page.goto(f"{address}/map?drawn=webgl&colour=side")
    chart(page)
    on = int(survey.table["on"].sum())
    assert page.locator(".legend").inner_text().replace("\n", " ").startswith(f"ON / OFF ON ({on}) OFF ({240 - on})")
    both = colours(page)
    assert both["blue"] > 10 * on / 2
    assert both["orange"] > 10 * (240 - on) / 2
    page.locator(".legend button", has_text="OFF").click()
    page.wait_for_timeout(500)
    less = colours(page)
    assert less["orange"] < both["orange"] / 20
    assert less["blue"] >= both["blue"]
    assert watch.is_clean()


def test_a_box_holds_exactly_the_points_in_it_and_costs_few_bytes(page: Page, address: str, survey: Survey) -> None:
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(len(frame))))
    page.goto(f"{address}/map?drawn=webgl")
    box = chart(page)
    tool(page, "Box")
    at = places(survey)
    sent.clear()
    (left, right), (top, bottom) = [(clear(at[:, side], 0.2), clear(at[:, side], 0.6)) for side in (0, 1)]
    drag(page, box, [(left, top), (0.3, 0.3), (right, bottom)])
    found = count(page, other=0)
    inside = (at > (left, top)).all(axis=1) & (at < (right, bottom)).all(axis=1)
    assert found == inside.sum() > 20
    page.locator(".tile").first.wait_for()
    tiles = {int(one) for one in page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.dataset.hit)")}
    assert tiles <= set(survey.table["hit_id"].to_numpy()[inside])
    assert max(sent) <= 5_000
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    assert len(Path(download.value.path()).read_text(encoding="utf-8").splitlines()) == found + 1


def test_a_lasso_adds_takes_out_is_undone_and_cleared(page: Page, address: str) -> None:
    page.goto(f"{address}/map?drawn=webgl")
    box = chart(page)
    drag(page, box, circle(0.4, 0.5, 0.2))
    one = count(page, other=0)
    drag(page, box, circle(0.6, 0.5, 0.2), "Shift")
    both = count(page, other=one)
    assert both > one
    drag(page, box, circle(0.4, 0.5, 0.2), "Alt")
    rest = count(page, other=both)
    assert rest == both - one
    page.get_by_role("button", name="Undo").click()
    assert count(page, other=rest) == both
    page.locator(".map").focus()
    page.keyboard.press("Escape")
    assert count(page, other=both) == 0
    page.get_by_role("button", name="Undo").click()
    assert count(page, other=0) == both


def test_what_is_hidden_or_grey_is_not_selected(page: Page, address: str, survey: Survey) -> None:
    page.goto(f"{address}/map?drawn=webgl&colour=side")
    box = chart(page)
    page.locator(".legend button", has_text="OFF").click()
    everywhere = [(0.002, 0.002), (0.998, 0.002), (0.998, 0.998), (0.002, 0.998)]
    drag(page, box, everywhere)
    on = survey.table["on"].astype(bool)
    assert count(page, other=0) == on.sum()
    least = float(survey.table["frequency_mhz"].median())
    page.goto(f"{address}/map?drawn=webgl&colour=side&from={least}")
    box = chart(page)
    page.get_by_text("are grey for the filters").wait_for()
    drag(page, box, everywhere)
    assert count(page, other=0) == (survey.table["frequency_mhz"] >= least).sum()


def test_the_selection_is_lit_in_every_view(page: Page, address: str) -> None:
    page.goto(f"{address}/map?drawn=webgl&colour=side")
    box = chart(page)
    drag(page, box, circle(0.5, 0.5, 0.25))
    n = count(page, other=0)
    before = page.locator(".legend").inner_text()
    assert " of " in before
    page.get_by_role("combobox", name="View").click()
    page.get_by_role("option", name="Frequency and scan").click()
    page.wait_for_function("document.querySelector('.legend, *') !== null")
    page.wait_for_url("**view=sky**")
    page.wait_for_timeout(1500)
    assert page.locator(".legend").inner_text() == before
    assert count(page) == n
    page.go_back()
    page.wait_for_timeout(1500)
    assert "view=sky" not in page.url
    assert count(page) == n


def test_the_pointer_shows_the_picture_of_its_point_and_a_click_opens_it(
    page: Page, address: str, survey: Survey
) -> None:
    page.goto(f"{address}/map?drawn=webgl")
    box = chart(page)
    at = places(survey)
    apart = np.linalg.norm((at[:, None] - at[None]) * (box["width"], box["height"]), axis=2)
    np.fill_diagonal(apart, np.inf)
    alone = int(apart.min(axis=1).argmax())
    hit = int(survey.table["hit_id"].iloc[alone])
    x, y = box["x"] + at[alone, 0] * box["width"], box["y"] + at[alone, 1] * box["height"]
    page.mouse.move(x - 30, y - 30)
    page.mouse.move(x + 1, y + 1)
    page.locator(".map[data-peek]").wait_for()
    assert page.locator(".peek p").inner_text().startswith(f"hit {hit}\n")
    shades = page.locator(".peek canvas").evaluate(
        """c => { const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return [c.width, c.height, new Set(new Uint32Array(data.buffer)).size]; }"""
    )
    assert shades[:2] == [256, 16]
    assert shades[2] > 20
    tool(page, "Click")
    page.mouse.click(x + 1, y + 1)
    page.wait_for_url(f"**hit={hit}**")
    page.get_by_text(re.compile(f"^Hit {hit}")).first.wait_for()


def test_zoom_keeps_the_place_under_the_pointer_and_the_keyboard_moves_the_map(
    page: Page, address: str, survey: Survey
) -> None:
    page.goto(f"{address}/map?drawn=webgl")
    box = chart(page)
    at = places(survey)
    x, y = at[0]
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    for _ in range(3):
        page.mouse.wheel(0, -400)
    page.wait_for_timeout(800)
    tool(page, "Box")
    reach = 14 / box["width"], 14 / box["height"]
    drag(page, box, [(x - reach[0], y - reach[1]), (x, y), (x + reach[0], y + reach[1])])
    few = count(page, other=0)
    zoomed = math.exp(0.0015 * 400) ** 3
    near = (np.abs(at - at[0]) < np.array(reach) / zoomed * 1.01).all(axis=1)
    assert 1 <= few <= near.sum()
    page.locator(".map").focus()
    page.keyboard.press("0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.wait_for_timeout(600)
    assert page.locator(".map").get_attribute("aria-label").startswith("Map of 240 hits")


def test_a_kept_selection_is_the_same_for_whoever_has_the_link(
    page: Page, address: str, browser: Browser, survey: Survey
) -> None:
    page.goto(f"{address}/map?drawn=webgl")
    box = chart(page)
    drag(page, box, circle(0.5, 0.5, 0.2))
    n = count(page, other=0)
    page.get_by_role("button", name="Keep and share").click()
    page.get_by_role("textbox", name="Name").fill("around the middle")
    page.get_by_role("textbox", name="Name").press("Enter")
    page.get_by_role("button", name=f"Keep these {n} hits").click()
    page.wait_for_url("**selection=**")
    context = browser.new_context()
    other = context.new_page()
    other.set_default_timeout(LONG_MS)
    other.goto(page.url)
    chart(other)
    assert count(other, other=0) == n
    context.close()
    assert len(list((survey.store.root / "selections").glob("*.json"))) == 1


def test_a_browser_without_webgl_gets_a_picture(browser: Browser, address: str) -> None:
    flags = [*FLAGS[:1], "--disable-gpu", "--disable-webgl", "--disable-webgl2", "--disable-3d-apis"]
    other = browser.browser_type.launch(executable_path=chromium(), args=flags)
    page = other.new_page()
    page.set_default_timeout(LONG_MS)
    page.goto(f"{address}/map?drawn=webgl")
    page.get_by_text("This browser draws no WebGL").wait_for()
    page.goto(f"{address}/map?drawn=picture")
    picture = page.locator("[data-testid=stImage] img").first
    picture.wait_for()
    assert "Map of 240 hits" in (picture.get_attribute("alt") or "")
    other.close()


@pytest.mark.parametrize("n", [100_000, 1_000_000])
def test_many_points_are_drawn_and_lassoed_within_the_budgets(n: int, page: Page, tmp_path: Path) -> None:
    """Of more than can be drawn a part is, and a lasso holds all; magnified, all that is in view is drawn."""
    sent: list[int] = []
    came: list[int] = []

    def listen(socket: object) -> None:
        socket.on("framesent", lambda frame: sent.append(len(frame)))  # type: ignore[attr-defined]
        socket.on("framereceived", lambda frame: came.append(len(frame)))  # type: ignore[attr-defined]

    with served(make_large_survey(tmp_path / "survey", n), tmp_path / "server.log") as address:
        watch = Watch(page)
        page.on("websocket", listen)
        page.goto(f"{address}/map?colour=side")
        box = chart(page)
        drawn = int(page.locator(".map").get_attribute("data-drawn") or 0)
        assert drawn == min(n, MOST_DRAWN)
        note = page.locator(".map .note").inner_text()
        assert note == (f"{drawn:,} of {n:,} hits drawn; a selection takes all" if drawn < n else "")
        assert drawn * 5 < sum(came) <= 1_000_000
        sent.clear()
        came.clear()
        (left, right), (bottom, top) = [(0.41, 0.62), (0.38, 0.57)]
        tool(page, "Box")
        drag(page, box, [(left, 1 - top), (0.5, 0.5), (right, 1 - bottom)])
        held = count(page, other=0)
        xy = load(tmp_path / "survey").projection[["x", "y"]].to_numpy()
        at = quantise(*xy.T).xy / LAST
        step = 1.5 / box["width"]  # the pointer lies on a pixel

        def within(edge: float) -> int:
            return int(((at > (left - edge, bottom - edge)) & (at < (right + edge, top + edge))).all(axis=1).sum())

        assert within(-step) <= held <= within(step)
        assert held > drawn or drawn == n
        page.locator(".tile").first.wait_for()
        assert max(sent) <= 5_000
        assert sum(came) < 1_000_000  # a bit a point and one page of tiles: no point travels again
        if drawn < n:
            page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5)
            for _ in range(4):
                page.mouse.wheel(0, -400)
            page.locator(".map[data-near]").wait_for()
            words = re.compile(r"All [\d,]+ hits here drawn")
            page.locator(".map .note").filter(has_text=words).wait_for()
            page.locator(".map").focus()
            page.keyboard.press("0")
            page.locator(".map .note").filter(has_text=f"{drawn:,} of {n:,} hits drawn").wait_for()
        assert watch.is_clean()


def test_the_link_of_what_is_on_the_screen_is_copied(browser: Browser, address: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(LONG_MS)
    page.goto(f"{address}/map?drawn=webgl&view=sky&colour=side")
    chart(page)
    page.get_by_role("button", name="Copy link to this page").click()
    page.get_by_text("Copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert "view=sky" in page.url
    context.close()
    shut = browser.new_context()  # nobody has allowed anything: the address is shown to be copied by hand
    page = shut.new_page()
    page.set_default_timeout(LONG_MS)
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(f"{address}/map?view=sky")
    page.get_by_role("button", name="Copy link to this page").click()
    field = page.get_by_role("textbox", name="Address of this page")
    field.wait_for()
    assert field.input_value() == page.url
    shut.close()
