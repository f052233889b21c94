"""Review in a real Chromium: labelled by the keyboard, by two people on one survey, and found again after a reload."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import LONG_MS, Watch, served, settled
from test_pages_clusters import make

from rrs_core.survey import queues
from rrs_core.survey.catalogue import Survey, load
from rrs_core.survey.labels import CHOICES, FILE, Labels, current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=window.hostile=1>"


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return load(make(tmp_path / "reviewed", names=("HIP4436", HOSTILE)))


@pytest.fixture
def ada(survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of Ada's server."""
    monkeypatch.setenv("RRS_PERSON", "ada")
    with served(survey.store.root, tmp_path / "ada.log") as url:
        yield url


def show(page: Page, address: str) -> Watch:
    """Open a page and wait until its hit is drawn."""
    page.set_default_timeout(LONG_MS)
    watch = Watch(page)
    page.goto(address)
    page.locator(".js-plotly-plot").first.wait_for()
    settled(page)
    return watch


def on_screen(page: Page, hit: int) -> None:
    """Wait until a hit is on the screen and in the address."""
    page.get_by_text(re.compile(rf"Hit {hit}\b")).first.wait_for()
    page.wait_for_url(f"**hit={hit}*")
    settled(page)


def said(survey: Survey) -> dict[tuple[str, int], str]:
    now = current(Labels(survey.store.root / FILE).rows())
    return {(row.person, row.hit_id): row.label for row in now.itertuples()}


def test_ten_are_labelled_by_the_keyboard_one_is_undone_and_a_reload_comes_back(
    page: Page, ada: str, survey: Survey
) -> None:
    ids = queues.queue_of(survey, "cluster:3").ids.tolist()
    watch = show(page, f"{ada}/review?queue=cluster:3")
    on_screen(page, ids[0])
    for place in range(10):
        page.keyboard.press(f"{place % 6 + 1}")
        on_screen(page, ids[place + 1])
        assert said(survey)["ada", ids[place]] == CHOICES[place % 6]
    page.get_by_text(f"Labelled 10 of {len(ids)} by you").wait_for()
    page.keyboard.press("u")
    on_screen(page, ids[9])
    assert ("ada", ids[9]) not in said(survey)
    assert len(said(survey)) == 9
    page.reload()
    page.locator(".js-plotly-plot").first.wait_for()
    on_screen(page, ids[9])
    page.keyboard.press("k")
    on_screen(page, ids[8])
    page.keyboard.press("j")
    on_screen(page, ids[9])
    page.keyboard.press("k")
    on_screen(page, ids[8])
    page.keyboard.press("s")
    on_screen(page, ids[9])
    page.keyboard.press("h")
    page.get_by_text("take your last label in this queue back").wait_for()
    assert page.evaluate("window.hostile") is None
    assert watch.is_clean()


def test_keys_that_are_typed_into_a_comment_label_nothing(page: Page, ada: str, survey: Survey) -> None:
    ids = queues.queue_of(survey, "anomalies").ids.tolist()
    watch = show(page, f"{ada}/review")
    on_screen(page, ids[0])
    box = page.get_by_label("Comment")
    box.click()
    page.keyboard.type("just 12 k, s and U ", delay=30)
    settled(page)
    assert box.input_value() == "just 12 k, s and U "
    assert said(survey) == {}
    assert f"hit={ids[0]}" in page.url
    page.keyboard.press("Enter")
    page.get_by_text("just 12 k, s and U").wait_for()
    settled(page)
    rows = Labels(survey.store.root / FILE).rows()
    assert rows[["hit_id", "label", "comment"]].to_numpy().tolist() == [[ids[0], "", "just 12 k, s and U"]]
    page.locator("h1").click()
    page.keyboard.press("4")
    on_screen(page, ids[1])
    assert said(survey) == {("ada", ids[0]): "noise"}
    assert watch.is_clean()


def test_a_queue_that_was_just_chosen_takes_keys_at_once(page: Page, ada: str, survey: Survey) -> None:
    ids = queues.queue_of(survey, "cluster:5").ids.tolist()
    watch = show(page, f"{ada}/review")
    page.get_by_role("combobox", name="Queue").click()
    page.get_by_role("option", name=re.compile("Supercluster 5")).click()
    page.get_by_text(f"Hit 1 of {len(ids)} ").wait_for()
    page.wait_for_url("**queue=cluster*")  # the hit alone tells nothing: it is the first of both queues
    on_screen(page, ids[0])
    page.keyboard.press("2")
    on_screen(page, ids[1])
    assert said(survey) == {("ada", ids[0]): "interference"}
    assert watch.is_clean()


def test_keys_that_are_pressed_faster_than_pages_are_drawn_label_no_unseen_hit(
    page: Page, ada: str, survey: Survey
) -> None:
    ids = queues.queue_of(survey, "cluster:3").ids.tolist()
    watch = show(page, f"{ada}/review?queue=cluster:3")
    on_screen(page, ids[0])
    for key in "44jjk4kjj4ku4kjj4":
        page.keyboard.press(key)
        page.wait_for_timeout(40)
    page.wait_for_timeout(3000)
    settled(page)
    labelled = {hit for _, hit in said(survey)}
    place = ids.index(int(re.search(r"hit=(\d+)", page.url)[1]))
    assert labelled <= set(ids[: place + 8])
    rows = Labels(survey.store.root / FILE).rows()
    assert (rows.loc[rows["takes_back"] == "", "label"] == "noise").all()
    assert page.get_by_text("Connection error").count() == 0
    assert watch.is_clean()


def test_two_people_on_one_survey_see_each_others_labels(
    browser: Browser, ada: str, survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = queues.queue_of(survey, "cluster:5").ids.tolist()
    monkeypatch.setenv("RRS_PERSON", f"bob {HOSTILE}")
    with served(survey.store.root, tmp_path / "bob.log") as bob:
        contexts = [browser.new_context(viewport={"width": 1400, "height": 1000}) for _ in range(2)]
        first, second = (context.new_page() for context in contexts)
        watches = [show(first, f"{ada}/review?queue=cluster:5"), show(second, f"{bob}/review?queue=cluster:5")]
        first.keyboard.press("1")
        on_screen(first, ids[1])
        second.keyboard.press("4")
        on_screen(second, ids[1])
        second.get_by_text(f"Labelled 1 of {len(ids)} by you, 1 by anybody").wait_for()
        second.keyboard.press("k")
        on_screen(second, ids[0])
        second.get_by_text(re.compile("interesting by ada")).wait_for()
        second.get_by_text("people differ").wait_for()
        first.keyboard.press("k")
        on_screen(first, ids[0])
        first.get_by_text(f"by bob {HOSTILE}").wait_for()
        first.goto(f"{ada}/review?queue=disputed")
        on_screen(first, ids[0])
        assert first.evaluate("window.hostile") is None
        assert all(watch.is_clean() for watch in watches)
        for context in contexts:
            context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_in_both_themes_and_on_a_phone(scheme: str, browser: Browser, ada: str, survey: Survey) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})  # type: ignore[arg-type]
    page = context.new_page()
    watch = show(page, f"{ada}/review?queue=anomalies")
    page.get_by_role("button", name=re.compile("interesting")).click()
    on_screen(page, queues.queue_of(survey, "anomalies").ids.tolist()[1])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("[data-testid=stException]").count() == 0
    assert watch.is_clean()
    context.close()


def test_links_lead_to_the_queues(page: Page, ada: str, survey: Survey) -> None:
    show(page, f"{ada}/hits")
    page.get_by_text("Review the first 100").click()
    page.wait_for_url("**/review?queue=hits*")
    page.locator(".js-plotly-plot").first.wait_for()
    page.get_by_text("Hit 1 of 100").wait_for()
    page.goto(f"{ada}/clusters?cluster=3")
    page.get_by_text("Review this cluster").click()
    page.wait_for_url("**/review?queue=cluster*")
    on_screen(page, queues.queue_of(survey, "cluster:3").ids.tolist()[0])
