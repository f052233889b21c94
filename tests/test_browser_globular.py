"""Clusters, events and features in a real Chromium, of a simulated cadence that was built: drawn, clicked, followed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from browser import LONG_MS, Watch, served, settled

from rrs_core import pipeline
from rrs_core.simulate.scans import simulate
from rrs_core.stages.report import Silent
from rrs_core.survey.catalogue import Survey, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
SEED = 9
ROW, HEADER = 35, 36  #: heights in a table [pixels]
#: Each page with something that is there once it is drawn.
PAGES = {
    "clusters": "[role=tabpanel] [data-testid=stDataFrame] canvas",
    "events": "[role=tabpanel] [data-testid=stDataFrame] canvas",
    "features": ".js-plotly-plot",
    "hits": ".js-plotly-plot",
}


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """One simulated cadence, built by the default method; not to be changed."""
    folder = tmp_path_factory.mktemp("globular")
    simulate(folder / "scans", "tiny", SEED)
    pipeline.build(folder / "survey", [folder / "scans"], Silent(), workers=2)
    return load(folder / "survey")


@pytest.fixture(scope="module")
def address(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(survey.store.root, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


def show(page: Page, address: str, path: str) -> Watch:
    """Open a page and wait until it is drawn."""
    watch = Watch(page)
    page.goto(f"{address}/{path}")
    page.locator("h1").first.wait_for()
    page.locator(PAGES[path.split("?")[0]]).first.wait_for()
    settled(page)
    return watch


def click_row(page: Page, row: int) -> None:
    """Select a row of the table in the first tab by its box."""
    table = page.get_by_role("tabpanel").first.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box
    page.mouse.click(box["x"] + 18, box["y"] + HEADER + ROW * row + ROW / 2)
    settled(page)


def enlarge_and_follow(page: Page) -> int:
    """Click the gallery's second tile and follow the dialog's link to its lookalikes; return the hit."""
    tile = page.locator(".grid").first.locator(".tile").nth(1)
    hit = int(tile.get_attribute("data-hit") or "")
    tile.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"Hit {hit}").wait_for()
    dialog.get_by_text("Frequency − ").first.wait_for()  # the waterfall's axis: it is drawn
    dialog.get_by_text("Search lookalikes of this hit").click()
    page.wait_for_url(f"**/lookalikes?hit={hit}")
    page.get_by_role("heading", name=f"Hit {hit}").first.wait_for()
    page.locator(".tile").first.wait_for()
    return hit


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_without_an_error_and_asks_nobody_else(
    scheme: str, path: str, browser: Browser, address: str
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(LONG_MS)
    page = context.new_page()
    watch = show(page, address, path)
    assert page.locator("[data-testid=stException]").count() == 0
    ground = page.locator(".stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
    for tab in page.get_by_role("tab").all():
        tab.click()
        settled(page)
        assert page.locator("[data-testid=stException]").count() == 0
    assert watch.is_clean()
    context.close()


@pytest.mark.parametrize("path", ["clusters?cluster=0", "events?event=1", "features", "hits"])
def test_a_narrow_screen_scrolls_one_way_only(path: str, browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    context.set_default_timeout(LONG_MS)
    page = context.new_page()
    watch = show(page, address, path)
    for tab in [None, *page.get_by_role("tab").all()]:
        if tab is not None:
            tab.click()
            settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth - main.clientWidth") <= 0
    assert watch.is_clean()
    context.close()


def test_a_row_opens_its_supercluster_which_outlives_a_filter(page: Page, address: str, survey: Survey) -> None:
    found = survey.superclusters.sort_values(["n_hits", "cluster_id"], ascending=[False, True], kind="stable")
    first, second = (int(number) for number in found["cluster_id"].iloc[:2])
    watch = show(page, address, "clusters")
    assert page.locator(".tile").count() == 0
    click_row(page, 1)
    size = int(found["n_hits"].iloc[1])
    page.get_by_role("heading", name=f"Supercluster {second}: {size:,} hits").wait_for()
    assert page.url.endswith(f"?cluster={second}")
    box = page.get_by_label("Fewest hits")
    box.fill(f"{size + 1}")  # only larger ones are in the table now
    box.press("Enter")
    page.get_by_text(re.compile(rf"^{(found['n_hits'] > size).sum()} of {len(found)} superclusters")).wait_for()
    assert page.get_by_role("heading", name=f"Supercluster {second}:").count() == 1
    settled(page)  # the table of before is gone
    click_row(page, 0)
    page.get_by_role("heading", name=f"Supercluster {first}:").wait_for()
    page.reload()
    page.get_by_role("heading", name=f"Supercluster {first}:").wait_for()
    assert watch.is_clean()


@pytest.mark.parametrize(("tab", "column"), [("Typical members", "exemplars"), ("Edge members", "edge_members")])
def test_a_member_is_shown_large_and_leads_to_its_lookalikes(
    tab: str, column: str, page: Page, address: str, survey: Survey
) -> None:
    watch = show(page, address, "clusters?cluster=0")
    page.get_by_role("tab", name=tab).click()
    settled(page)
    assert page.locator(".grid").count() == 1  # the closed tab's is not drawn
    hit = enlarge_and_follow(page)
    assert hit == int(survey.superclusters.set_index("cluster_id").loc[0, column][1])
    assert watch.is_clean()


def test_an_open_dialog_is_closed_and_another_tile_opens_its_own(page: Page, address: str) -> None:
    watch = show(page, address, "clusters?cluster=0")
    for place in (0, 2):
        tile = page.locator(".grid").first.locator(".tile").nth(place)
        hit = tile.get_attribute("data-hit")
        tile.click()
        page.get_by_role("dialog").get_by_text(f"Hit {hit}").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
    assert watch.is_clean()


def test_a_row_opens_its_candidate_and_a_hit_of_it_its_lookalikes(page: Page, address: str) -> None:
    watch = show(page, address, "events")
    click_row(page, 0)
    heading = page.get_by_role("heading", name=re.compile(r"Candidate \d+:"))
    heading.wait_for()
    number = re.search(r"Candidate (\d+):", heading.inner_text()).group(1)
    assert page.url.endswith(f"?event={number}")
    page.locator(".tile").first.wait_for()
    enlarge_and_follow(page)
    assert watch.is_clean()


def test_an_anomaly_is_shown_large_and_leads_to_its_lookalikes(page: Page, address: str, survey: Survey) -> None:
    watch = show(page, address, "events")
    page.get_by_role("tab", name="Anomalies").click()
    page.locator(".tile").first.wait_for()
    settled(page)
    hit = enlarge_and_follow(page)
    assert survey.clusters.set_index("hit_id").loc[hit, "status"] == "anomaly"
    assert watch.is_clean()


def test_features_are_drawn_and_another_choice_is_drawn_anew(page: Page, address: str) -> None:
    watch = show(page, address, "features")
    assert page.locator(".js-plotly-plot").count() == 3  # importances, components, pairs
    assert page.get_by_text("rrs explain").count() == 1
    page.locator(".legendtitletext", has_text="verdict").wait_for()
    box = page.get_by_role("combobox", name="Colour by")
    box.scroll_into_view_if_needed()
    settled(page)  # an open list is closed by scrolling
    box.click()
    page.get_by_role("option", name="supercluster", exact=True).click()
    page.locator(".legendtitletext", has_text="supercluster").wait_for()
    page.get_by_text("The 13 features").click()
    page.get_by_text("kurtosis_bandwidth_correlation").first.wait_for()
    assert watch.is_clean()
