"""What all tests share: a small survey; property tests draw the same examples every time and have no stopwatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import FLAGS, LONG_MS, chromium, shown
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say what the page of a browser test showed when it failed: a text that was waited for in vain tells nothing."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if page is not None and call.when == "call" and report.failed:
        report.sections.append(("What the page showed", shown(page)))
    return report


@pytest.fixture(scope="session")
def tiny_survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished survey of 240 drawn hits in two cadences, with a random-weight encoder; not to be changed."""
    from make_survey import make_survey

    return make_survey(tmp_path_factory.mktemp("surveys") / "tiny")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of its own context."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(LONG_MS)
    yield context.new_page()
    context.close()
