"""Garbage collection after a run: what was imported is not looked at again, what a run leaves behind is."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from apps import opened

from pages.components import heap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ring:
    """Refers to itself: no count of references frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    heap._settled.clear()
    yield
    gc.unfreeze()
    heap._settled.clear()


def test_a_page_leaves_little_to_look_at(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    before = len(gc.get_objects())
    opened("overview", tiny_survey, monkeypatch)
    gc.collect()
    assert len(gc.get_objects()) < before / 5
    assert gc.get_freeze_count() > before / 2


def test_garbage_is_collected_before_and_after() -> None:
    early = weakref.ref(Ring())
    heap.settle()
    assert early() is None
    late = weakref.ref(Ring())
    gc.collect()
    assert late() is None


def test_it_is_done_again_only_when_modules_came(monkeypatch: pytest.MonkeyPatch) -> None:
    heap.settle()
    kept = gc.get_freeze_count()
    more = [Ring() for _ in range(1000)]
    heap.settle()
    assert gc.get_freeze_count() == kept
    for number in range(heap.MODULES):
        monkeypatch.setitem(heap.sys.modules, f"imported_{number}", heap)
    heap.settle()
    assert gc.get_freeze_count() >= kept + len(more)
