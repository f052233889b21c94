"""The dashboard in a real Chromium: what is drawn, what is clicked, what is sent."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import LONG_MS, Watch, served, settled
from make_survey import draw_snippet, make_survey
from sharing import upload

from pages.components import uploads
from rrs_core.group.ranking import RESULT_COLUMNS
from rrs_core.survey.catalogue import Survey, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=window.hostile=1>"


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return load(make_survey(tmp_path_factory.mktemp("surveys") / "shown", names=("HIP4436", HOSTILE)))


@pytest.fixture(scope="module")
def address(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(survey.store.root, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


def tiles(page: Page) -> list[int]:
    """Return the hit ids of the tiles in the order shown, once there are tiles."""
    page.locator(".tile").first.wait_for()
    return [int(text) for text in page.locator(".tile").evaluate_all("tiles => tiles.map(t => t.dataset.hit)")]


def drawn(page: Page, tile: int) -> np.ndarray:
    """Return the pixels of a tile as the browser painted them, array (16, 256, 4)."""
    pixels = (
        page.locator(".tile canvas")
        .nth(tile)
        .evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)")
    )
    return np.array(pixels, np.uint8).reshape(16, 256, 4)


def colours(page: Page) -> list[int]:
    """Return how many opaque colours each tile is painted with."""
    return page.locator(".tile canvas").evaluate_all(
        """all => all.map(c => { const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return new Set(new Uint32Array(data.buffer).filter(colour => colour >>> 24 === 255)).size; })"""
    )


def lasso(page: Page) -> None:
    """Drag a circle around the middle of the map."""
    page.locator(".nsewdrag").first.wait_for()
    page.wait_for_timeout(1500)
    box = page.locator(".nsewdrag").first.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + 90, y)
    page.mouse.down()
    for step in range(1, 25):
        page.mouse.move(x + 90 * math.cos(step * math.pi / 12), y + 90 * math.sin(step * math.pi / 12))
    page.mouse.up()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def send(page: Page, data: bytes, name: str = "query.npy") -> None:
    page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": data}]
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_without_an_error_and_asks_nobody_else(scheme: str, browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(LONG_MS)
    watch = Watch(page)
    for path, landmark in {"": ".js-plotly-plot", "map": ".nsewdrag", "lookalikes": "input[type=file]"}.items():
        page.goto(f"{address}/{path}")
        page.locator("h1").wait_for()
        page.locator(landmark).first.wait_for(state="attached")
        settled(page)
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.locator("[data-testid=stAlert]").filter(has_text="error").count() == 0
        page.wait_for_timeout(1000)
        ground = page.locator(".stApp").evaluate("app => getComputedStyle(app).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
        assert watch.is_clean()
    context.close()


def test_a_fresh_server_asked_for_a_page_of_its_own_shows_our_menu(
    survey: Survey, browser: Browser, tmp_path: Path
) -> None:
    with served(survey.store.root, tmp_path / "fresh.log") as fresh:
        page = browser.new_page()
        watch = Watch(page)
        page.goto(f"{fresh}/lookalikes?hit={survey.strongest()}")
        assert len(tiles(page)) == 50
        menu = page.locator(".st-key-menu [data-testid=stPageLink]").all_inner_texts()
        assert [entry.split("\n")[-1] for entry in menu] == [
            "Overview", "Map", "Hits", "Review", "Clusters", "Events and anomalies", "Features", "Lookalikes",
            "Latents", "Recovery",
        ]  # fmt: skip
        assert page.locator("[data-testid=stSidebarNav]").count() == 0
        assert watch.is_clean()
        page.close()


def test_an_uploaded_snippet_finds_its_lookalikes_and_they_are_painted(
    page: Page, address: str, survey: Survey
) -> None:
    watch = Watch(page)
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(f"{address}/lookalikes")
    page.locator("input[type=file]").wait_for(state="attached")
    settled(page)
    before = sum(received)
    hit = int(survey.hits["hit_id"].iloc[33])
    send(page, npy(survey.snippet(hit)))
    found = tiles(page)
    assert len(found) == 50
    assert found[0] == hit
    settled(page)
    assert min(colours(page)) > 10
    assert sum(received) - before < 1_500_000
    assert page.locator(".grid *").count() <= 2 * 50
    assert watch.is_clean()


def test_the_pixels_of_a_tile_are_those_of_its_hit(page: Page, address: str, survey: Survey) -> None:
    page.goto(f"{address}/lookalikes?hit={survey.strongest()}")
    found = tiles(page)
    for tile in (0, 1, 2, 30):
        power, pixels = survey.snippet(found[tile])[:, ::-1], drawn(page, tile)
        brightness = pixels[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
        assert np.corrcoef(np.clip(power, None, np.quantile(power, 0.99)).ravel(), brightness.ravel())[0, 1] > 0.8


def test_the_sample_snippet_can_be_downloaded_and_uploaded(page: Page, address: str, survey: Survey) -> None:
    page.goto(f"{address}/lookalikes")
    with page.expect_download() as download:
        page.get_by_role("button", name="Sample snippet").click()
    send(page, Path(download.value.path()).read_bytes())
    assert tiles(page)[0] == survey.strongest()


def test_a_file_up_to_the_limit_is_taken_and_one_of_a_byte_more_is_not(address: str) -> None:
    """Streamlit counts the form around a file, some 80 bytes, as part of it."""
    most = uploads.LARGEST_UPLOAD_MB * 2**20
    assert upload(address, data=bytes(most - 100)) == 204
    with contextlib.suppress(ConnectionResetError):  # it does not listen to the end of what it has refused
        assert upload(address, data=bytes(most + 1)) == 413


def test_a_refused_upload_is_one_line_and_the_page_goes_on(page: Page, address: str) -> None:
    watch = Watch(page)
    page.goto(f"{address}/lookalikes")
    page.locator("input[type=file]").wait_for(state="attached")
    send(page, b"\x80\x04rubbish", f"../../{HOSTILE}.npy")
    alert = page.locator("[data-testid=stAlert]").filter(has_text="PICKLE")
    alert.wait_for()
    assert HOSTILE in alert.inner_text()
    send(page, npy(draw_snippet("comb", np.random.default_rng(1))))
    assert len(tiles(page)) == 50
    assert page.evaluate("window.hostile") is None
    assert watch.is_clean()


def test_a_frequency_weight_brings_near_hits_forward(page: Page, address: str, survey: Survey) -> None:
    hit = survey.strongest()
    page.goto(f"{address}/lookalikes?hit={hit}")
    plain = tiles(page)
    slider = page.get_by_role("slider", name="Frequency weight")
    slider.focus()
    page.keyboard.press("End")
    settled(page)
    page.wait_for_timeout(1000)
    weighted = tiles(page)
    assert weighted != plain
    mhz = survey.table.set_index("hit_id")["frequency_mhz"]
    assert (mhz[weighted[:20]] - mhz[hit]).abs().max() < (mhz[plain[:20]] - mhz[hit]).abs().max()


def test_the_csv_holds_the_results_in_order(page: Page, address: str, survey: Survey) -> None:
    page.goto(f"{address}/lookalikes?hit={survey.strongest()}")
    shown = tiles(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    assert download.value.suggested_filename == f"lookalikes_hit_{survey.strongest()}.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert tuple(rows[0]) == RESULT_COLUMNS
    assert [int(row["hit_id"]) for row in rows] == shown
    mhz = survey.table.set_index("hit_id")["frequency_mhz"]
    assert all(float(row["frequency_mhz"]) == mhz[int(row["hit_id"])] for row in rows)


def test_a_lasso_shows_the_waterfalls_of_exactly_its_points(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    page.goto(f"{address}/map")
    lasso(page)
    shown = tiles(page)
    title = page.get_by_role("heading", name=re.compile("Selected: [1-9]")).inner_text()
    count = int(re.search(r"Selected: (\d+) of 240", title).group(1))
    selected = page.locator(".js-plotly-plot").evaluate(
        "chart => chart._fullData.flatMap(t => (t.selectedpoints || []).map(i => [t.x[i], t.y[i]]))"
    )
    place = survey.projection[["x", "y"]].to_numpy(np.float64)
    nearest = [int(np.abs(place - point).sum(axis=1).argmin()) for point in selected]
    expected = set(survey.projection["hit_id"].to_numpy()[nearest].tolist())
    assert 10 < count == len(expected) < 240
    assert len(shown) == min(count, 50)
    assert set(shown) <= expected
    assert watch.is_clean()


def test_a_click_on_a_tile_shows_it_large_and_leads_to_its_lookalikes(page: Page, address: str) -> None:
    page.goto(f"{address}/map")
    lasso(page)
    hit = tiles(page)[2]
    page.locator(".tile").nth(2).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"Hit {hit}").wait_for()
    dialog.get_by_text("Frequency − ").first.wait_for()
    dialog.get_by_text("Search lookalikes of this hit").click()
    page.wait_for_url(f"**/lookalikes?hit={hit}")
    assert hit not in tiles(page)
    page.reload()
    assert page.get_by_role("heading", name=f"Hit {hit}").first.inner_text()
    assert len(tiles(page)) == 50


def test_a_selection_is_cleared_by_a_button(page: Page, address: str) -> None:
    page.goto(f"{address}/map")
    lasso(page)
    first = tiles(page)
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("heading", name="Selected: 0").wait_for()
    page.locator(".tile").first.wait_for(state="detached")
    page.locator(".js-plotly-plot .selectionlayer path").first.wait_for(state="detached")
    settled(page)
    lasso(page)
    assert tiles(page) == first


def test_other_results_begin_at_their_first_page(page: Page, address: str, survey: Survey) -> None:
    first, second = (int(hit) for hit in survey.hits["hit_id"].iloc[[10, 20]])
    page.goto(f"{address}/lookalikes?hit={first}")
    tiles(page)
    page.get_by_role("slider", name="Number of results").focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Page 2", exact=True).click()
    page.locator(".grid", has_text="#101 · score").wait_for()
    box = page.get_by_role("textbox", name="Hit id")
    box.fill(f"{second}")
    box.press("Enter")
    page.get_by_role("heading", name=f"Hit {second}").wait_for()
    page.locator(".grid", has_text="#1 · score").wait_for()  # not "#1", which stands in "#100" too
    assert "#101 · score" not in page.locator(".grid").inner_text()


def test_a_link_to_a_hit_works_again_and_so_does_the_back_button(page: Page, address: str, survey: Survey) -> None:
    hit = survey.strongest()
    heading = page.get_by_role("heading", name=f"Hit {hit}")
    for _ in range(2):
        page.goto(address) if page.url == "about:blank" else page.get_by_role("link", name="Overview").click()
        page.get_by_role("link", name="Search lookalikes of the strongest hit").click()
        heading.wait_for()
        assert f"hit={hit}" in page.url
    page.get_by_role("link", name="Map", exact=True).click()
    page.get_by_role("heading", name="Map", exact=True).wait_for()
    settled(page)
    page.go_back()
    heading.wait_for()
    page.get_by_role("radio", name="Upload").or_(page.get_by_role("button", name="Upload", exact=True)).first.click()
    page.locator("input[type=file]").wait_for(state="attached")
    settled(page)
    assert "hit=" not in page.url


def test_a_click_on_a_point_shows_its_waterfall(page: Page, address: str, survey: Survey) -> None:
    page.goto(f"{address}/map")
    page.locator(".nsewdrag").first.wait_for()
    page.wait_for_timeout(1500)
    page.get_by_role("radio", name="Click").or_(page.get_by_role("button", name="Click", exact=True)).first.click()
    settled(page)
    page.wait_for_timeout(1500)
    where = page.locator(".js-plotly-plot").evaluate(
        """chart => { const t = chart._fullData[0], box = chart.getBoundingClientRect(), a = chart._fullLayout;
        return [box.x + a.xaxis._offset + a.xaxis.l2p(t.x[3]), box.y + a.yaxis._offset + a.yaxis.l2p(t.y[3]),
                t.x[3], t.y[3]]; }"""
    )
    page.mouse.move(where[0] - 3, where[1])
    page.mouse.move(where[0], where[1])
    page.mouse.click(where[0], where[1])
    place = survey.projection[["x", "y"]].to_numpy(np.float64)
    hit = survey.projection["hit_id"].to_numpy()[np.abs(place - where[2:]).sum(axis=1).argmin()]
    page.get_by_text(re.compile(f"^Hit {hit}")).first.wait_for()  # not the box that hovering shows: "hit"
    assert tiles(page) == [hit]


def test_hostile_names_are_text_everywhere(page: Page, address: str, survey: Survey) -> None:
    watch = Watch(page)
    table = survey.table
    hit = table.loc[table["source_name"] == HOSTILE, "hit_id"].iloc[0]
    page.goto(f"{address}/lookalikes?hit={hit}")
    tiles(page)
    assert HOSTILE in page.locator("h5").first.inner_text()
    assert HOSTILE in page.locator(".grid").inner_text()
    page.goto(f"{address}/map")
    page.get_by_role("combobox", name="Colour by").click()
    page.get_by_role("option", name="Target", exact=True).click()
    page.locator(".legendtext", has_text="<img").first.wait_for()
    page.goto(address)
    page.locator("h1").wait_for()
    settled(page)
    assert page.evaluate("window.hostile") is None
    assert page.locator("img[src=x]").count() == 0
    assert watch.is_clean()


def test_a_narrow_screen_scrolls_one_way_only(browser: Browser, address: str, survey: Survey) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.set_default_timeout(LONG_MS)
    page.goto(f"{address}/lookalikes?hit={survey.strongest()}")
    tiles(page)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth - main.clientWidth") <= 0
    context.close()


def test_another_host_name_is_turned_away(address: str) -> None:
    import http.client

    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    for host, status in (("evil.example", 403), ("127.0.0.1", 101)):
        connection.request(
            "GET",
            "/_stcore/stream",
            headers={
                "Host": host,
                "Origin": f"http://{host}",
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
            },
        )
        assert connection.getresponse().status == status
        connection.close()
