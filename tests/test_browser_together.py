"""Lookalikes in several surveys in a real Chromium: a hit of another survey opens as its own, and leads nowhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from browser import Watch, free_port, running, settled
from make_survey import make_survey

from rrs_core import ask
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two surveys of one model whose hits have the same ids and other targets."""
    folder = tmp_path_factory.mktemp("together")
    first = make_survey(folder / "first", n_hits=60)
    second = make_survey(folder / "second", n_hits=60, names=("OTHER1", "OTHER2"))
    hits = Store(second).read_table("hits")
    Store(second).write_table("hits", hits.assign(frequency_mhz=hits["frequency_mhz"] + 0.3))
    return first, second


@pytest.fixture(scope="module")
def address(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", f"{port}"]
    environment = {"RRS_SURVEY": f"{pair[0]}", "RRS_ALSO": os.pathsep.join([f"{pair[1]}"])}
    log = tmp_path_factory.mktemp("log") / "server.log"
    with running(command, f"http://127.0.0.1:{port}/_stcore/health", log, environment):
        yield f"http://127.0.0.1:{port}"


def test_a_hit_of_another_survey_is_opened_as_its_own(page: Page, address: str, pair: tuple[Path, Path]) -> None:
    watch = Watch(page)
    hit = int(load(pair[0]).hits["hit_id"].iloc[5])
    truth = ask.lookalikes_of(list(pair), hit=hit)
    page.goto(f"{address}/lookalikes?hit={hit}")
    page.locator(".tile").first.wait_for()
    page.get_by_text("All 2 surveys of this model").click()
    page.get_by_text("lookalikes of 120 hits").wait_for()
    settled(page)
    for place, name in ((truth["survey"].tolist().index(name), name) for name in ("second", "first")):
        row = truth.iloc[place]
        tile = page.locator(".tile").nth(place)
        tile.get_by_text(f"survey {name}").wait_for()
        tile.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text(f"Hit {row['hit_id']}").wait_for()
        dialog.get_by_text(f"{row['source_name']}").wait_for()
        dialog.get_by_text("Frequency − ").first.wait_for()
        assert dialog.get_by_text("All about this hit").count() == (name == "first")
        assert dialog.get_by_text(f"serve {pair[1]}").count() == (name == "second")
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
        settled(page)
    assert watch.is_clean()
