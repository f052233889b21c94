"""A public copy in a real Chromium: everybody looks, nobody changes anything, and what is not offered is not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import Watch
from make_survey import make_survey
from sharing import shared, upload

from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_survey(tmp_path_factory.mktemp("public") / "survey", n_hits=20)


@pytest.fixture(scope="module")
def address(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with shared(survey, tmp_path_factory.mktemp("served"), "--public") as url:
        yield url


def test_anybody_looks_and_finds_nothing_to_change(page: Page, address: str, survey: Path) -> None:
    watch = Watch(page)
    page.goto(f"{address}/lookalikes")
    page.get_by_text("nothing can be uploaded").wait_for()
    page.get_by_text("A public copy, only to look at").wait_for()
    assert page.get_by_text("Upload", exact=True).count() == 0
    assert page.locator("input[type=file]").count() == 0
    page.get_by_role("textbox", name="Hit id").fill(f"{load(survey).strongest()}")
    page.get_by_role("textbox", name="Hit id").press("Enter")
    page.locator(".tile").first.wait_for()
    page.goto(f"{address}/recovery")
    page.get_by_text("Only an admin starts").wait_for()
    assert page.get_by_role("button", name="Start").count() == 0
    assert watch.is_clean()


def test_an_upload_that_no_page_offers_is_refused(address: str) -> None:
    assert upload(address) == 413
