"""Campaigns in the background: one at a time, followed by their log, stopped; what is left by a crash is no lock."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rrs_core.errors import RRSError, SettingsRefused
from rrs_core.stages import background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Says what it was called with, works until a file is there, then writes the result.
WORK = """
import json, pathlib, sys, time
print("called", json.dumps(sys.argv[1:]), flush=True)
print("cadences: 1 of 3", flush=True)
print("recover: a note\\x1b[31m <b>bold</b>", flush=True)
print("cadences: 2 of 3", flush=True)
root = pathlib.Path(sys.argv[2])
while not (root / "go").exists():
    time.sleep(0.02)
(root / "recovery" / "recovery.json").write_text("{}")
"""
COMMAND = (sys.executable, "-c", WORK)
REFUSED = (sys.executable, "-c", "import sys; print('rrs: error: [NO_CADENCE] none', file=sys.stderr); sys.exit(2)")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "survey of mine"
    background.stop(tmp_path / "survey of mine")


def wait(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def said(root: Path) -> background.Running:
    found = background.state(root)
    assert found is not None
    return found


def test_a_campaign_is_started_followed_and_finished(root: Path) -> None:
    assert background.state(root) is None
    background.start(root, "quick", workers=2, command=COMMAND)
    wait(lambda: said(root).done == 2)
    now = said(root)
    assert now.alive
    assert not now.finished
    assert (now.kind, now.stage, now.done, now.total) == ("quick", "cadences", 2, 3)
    called = next(line for line in now.lines if line.startswith("called "))
    assert json.loads(called[7:]) == ["recover", f"{root.resolve()}", "--quick", "--workers", "2"]
    assert not any("\x1b" in line for line in now.lines)
    (root / "go").touch()
    wait(lambda: not said(root).alive)
    assert said(root).finished


def test_only_one_runs_at_a_time_and_then_the_next_may(root: Path) -> None:
    background.start(root, "bench", command=COMMAND)
    wait(lambda: said(root).done == 2)
    with pytest.raises(RRSError) as refused:
        background.start(root, "quick", command=COMMAND)
    assert refused.value.code == "BUSY"
    assert said(root).kind == "bench"  # the refused one left no trace
    assert said(root).done == 2
    assert background.stop(root)
    background.start(root, "quick", command=COMMAND)
    assert said(root).kind == "quick"


def test_a_killed_campaign_leaves_no_lock(root: Path) -> None:
    background.start(root, "quick", command=COMMAND)
    wait(lambda: said(root).done == 2)
    os.kill(json.loads((root / "recovery" / "campaign.json").read_text())["pid"], signal.SIGKILL)
    wait(lambda: not said(root).alive)
    assert not said(root).finished
    background.start(root, "quick", command=COMMAND)
    wait(lambda: said(root).alive)


def test_it_is_stopped_with_all_that_it_started(root: Path) -> None:
    family = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {WORK!r}, *sys.argv[1:]])"
    background.start(root, "quick", command=(sys.executable, "-c", family))
    wait(lambda: said(root).done == 2)
    group = json.loads((root / "recovery" / "campaign.json").read_text())["pid"]
    assert os.getpgid(group) == group != os.getpgid(0)
    assert background.stop(root)
    assert not said(root).alive

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    wait(gone)


def test_one_that_does_not_heed_is_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PATIENCE_S", 0.3)
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WORK}"
    background.start(root, "quick", command=(sys.executable, "-c", deaf))
    wait(lambda: said(root).done == 2)
    background.stop(root)
    wait(lambda: not said(root).alive)


def test_a_refusal_is_told_and_is_not_a_result(root: Path) -> None:
    (root / "recovery").mkdir(parents=True)
    (root / "recovery" / "recovery.json").write_text("{}")  # of a campaign before
    os.utime(root / "recovery" / "recovery.json", (1, 1))
    background.start(root, "full", command=REFUSED)
    wait(lambda: not said(root).alive)
    assert said(root).lines == ("rrs: error: [NO_CADENCE] none",)
    assert not said(root).finished


@pytest.mark.parametrize("kind", ["", "--quick", "quick; rm -rf /", "full ", None])
def test_nothing_else_can_be_started(kind: object, root: Path) -> None:
    with pytest.raises(SettingsRefused) as refused:
        background.start(root, kind, command=COMMAND)  # type: ignore[arg-type]
    assert refused.value.code == "KIND"
    assert not root.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"pid": 1, "began": 1.0}', '{"pid": "x", "began": 1.0}', '{"pid": 9, "began": "x"}']
)
def test_a_record_that_is_none_is_no_campaign(text: str, root: Path) -> None:
    (root / "recovery").mkdir(parents=True)
    (root / "recovery" / "campaign.json").write_text(text)
    assert background.state(root) is None
    assert not background.stop(root)


def test_no_process_is_ended_that_holds_no_lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A survey from elsewhere may name any process as its campaign."""

    def ended(*given: object) -> None:
        raise AssertionError(given)

    (root / "recovery").mkdir(parents=True)
    (root / "recovery" / "campaign.lock").touch()
    (root / "recovery" / "campaign.json").write_text(json.dumps({"pid": os.getpid(), "began": 1.0, "kind": "x" * 999}))
    monkeypatch.setattr(os, "killpg", ended)
    assert not background.stop(root)
    assert not said(root).alive
    assert len(said(root).kind) <= 20


def test_a_long_log_is_read_from_its_end(root: Path) -> None:
    (root / "recovery").mkdir(parents=True)
    (root / "recovery" / "campaign.json").write_text(json.dumps({"pid": 5, "began": 1.0}))
    log = "clusterings: 1 of 9\n" * 5_000 + "last words\nclusterings: 7 of 9\n\xff"
    (root / "recovery" / "campaign.log").write_text(log, encoding="latin-1")
    now = said(root)
    assert (now.stage, now.done, now.total) == ("clusterings", 7, 9)
    assert now.lines == ("last words", "\ufffd")
