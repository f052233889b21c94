"""What all tests share: a small survey; property tests draw the same examples every time and have no stopwatch."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def tiny_survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished survey of 240 drawn hits in two cadences, with a random-weight encoder; not to be changed."""
    from make_survey import make_survey

    return make_survey(tmp_path_factory.mktemp("surveys") / "tiny")
