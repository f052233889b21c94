"""The campaign behind `rrs evaluate`: every encoder, test set and run, each part kept as soon as it is measured."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config
from rrs_core.describe import checkpoints
from rrs_core.describe.snippets import digests_of
from rrs_core.detect.energy import window_statistic
from rrs_core.errors import SettingsRefused
from rrs_core.observe.snippetfiles import open_stack
from rrs_core.prove import confusion, evaluate
from rrs_core.prove.backgrounds import Detected, simulated
from rrs_core.prove.realism import Told, eight_bit, told_apart
from rrs_core.prove.rows import ROWS, SAMPLE
from rrs_core.survey.store import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rrs_core.prove.limit import Axes
    from rrs_core.prove.rows import Fitted
    from rrs_core.stages.report import Report

CODE = "evaluate-2"  #: raise it when the same seed no longer gives the same figures
THRESHOLDS = {"paper": config.PAPER_THRESHOLD, "code": 2048.0}  #: K² of the backgrounds (facts of the authors' code)
TRAINING_SEED, TEST_SEED = 11, 20_261_207  #: of simulated scans: what rows are fitted on, and scans nobody has seen
LIMITS: dict[str, Axes] = {"Cramér-Rao limit": "range", "Cramér-Rao limit, whitened": "whitened"}
RESULTS = "evaluate.json"

Parts = dict[tuple[str, str, int], dict[str, Any]]


def run(
    out: Path,
    report: Report,
    *,
    protocol: str = "paper",
    quick: bool = False,
    seed: int = 0,
    real: Path | None = None,
    only: Sequence[str] = (),
    runs: int | None = None,
) -> list[dict[str, object]]:
    """Measure all encoders; return the rows of the table, and write them to out/PROTOCOL/evaluate.json.

    The file also says which families each encoder's neighbours are of. What an interrupted campaign has measured is
    kept and not measured again.

    Parameters
    ----------
    out : Path
        Folder of campaigns.
    report : Report
    protocol : {"paper", "code"}
    quick : bool
        Few snippets, to see that it runs: no figure of it means anything.
    seed : int
        Of classes, places and noise.
    real : Path, optional
        Snippets of a telescope (n, 16, 256) .npy that no encoder was trained on, as one more background.
    only : sequence of str
        Rows to measure; none: all.
    runs : int, optional
        In place of ten.

    Raises
    ------
    SettingsRefused
        PROTOCOL, ROW, for one that there is not; TRAINED_ON.
    FileRefused
        What `open_stack` refuses.
    """
    if protocol not in evaluate.PROTOCOLS:
        raise SettingsRefused("PROTOCOL", "no such protocol", got=protocol, expected=", ".join(evaluate.PROTOCOLS))
    known = [*ROWS, *LIMITS]
    if unknown := [name for name in only if name not in known]:
        raise SettingsRefused("ROW", "no such row", got=", ".join(unknown), expected=", ".join(known))
    sizes = replace(evaluate.QUICK if quick else evaluate.FULL, **({} if runs is None else {"runs": runs}))
    names = [name for name in known if not only or name in only]
    if real is not None:
        _check_unseen(real, [name for name in names if name in checkpoints.SHIPPED_NAMES])
    campaign = _Campaign(out / protocol, protocol, sizes, seed, quick, real, report)
    parts = campaign.measured(names)
    rows = evaluate.summary(parts)
    said = {
        "protocol": protocol, "sizes": asdict(sizes), "seed": seed, "quick": quick, "code": CODE, "rows": rows,
        confusion.KEY: evaluate.confusions(parts),
    }  # fmt: skip
    if campaign.real is not None:
        said["realism"] = asdict(campaign.realism())
    write_text(out / protocol / RESULTS, json.dumps(said, indent=1) + "\n")
    return rows


def _check_unseen(real: Path, encoders: list[str]) -> None:
    """Refuse snippets of a telescope that an encoder was trained on."""
    given = digests_of(open_stack(real))
    for name in encoders:
        learnt = set(checkpoints.load(name).card.get("telescope", []))
        if seen := [row for row, one in enumerate(given) if one in learnt]:
            raise SettingsRefused(
                "TRAINED_ON", f"the encoder {name} was trained on {len(seen)} of these snippets", where=real,
                got=f"rows {seen[0]} to {seen[-1]}", expected="snippets that it has not seen",
                todo="cut them out of the array, or leave that row out",
            )  # fmt: skip


class _Campaign:
    """What the parts of one campaign have in common; snippets are made when a part asks for them."""

    def __init__(
        self, folder: Path, protocol: str, sizes: evaluate.Sizes, seed: int, quick: bool, real: Path | None,
        report: Report,
    ) -> None:  # fmt: skip
        self.folder, self.protocol, self.sizes, self.seed = folder, protocol, sizes, seed
        self.preset = "tiny" if quick else "demo"
        self.report = report
        self.real = None if real is None else open_stack(real)
        self._rows: dict[str, Fitted] = {}

    def measured(self, names: list[str]) -> Parts:
        """Return every part, measuring those that are missing; rows carry the names that the tables show."""
        lines: tuple[evaluate.TestSet, ...] = ("simulated", "noise") if self.real is None else evaluate.LINE_SETS
        tests: tuple[evaluate.TestSet, ...] = (*lines, "factors", "families")
        jobs = [(test, run) for test in tests for run in range(self.sizes.runs)]
        found: Parts = {}
        for done, (test, run) in enumerate(jobs):
            self.report.progress("evaluate", done, len(jobs))
            kept = {name: self._read(test, run, name) for name in names if _fits(name, test)}
            if missing := [name for name, part in kept.items() if part is None]:
                for name, part in self._measure(test, run, missing).items():
                    shown = self._rows[name].name if name in self._rows else name
                    write_text(self._path(test, run, name), json.dumps({"row": shown, **part}))
                    kept[name] = {"row": shown, **part}
            found |= {(name, test, run): part for name, part in kept.items() if part is not None}
        self.report.progress("evaluate", len(jobs), len(jobs))
        ordered = [key for name in names for key in found if key[0] == name]
        return {(f"{found[key]['row']}", *key[1:]): found[key] for key in ordered}

    def realism(self) -> Told:
        """Return how well a small classifier tells simulated detections from the telescope's, as 8-bit images."""
        real = np.asarray(self.real)
        faintest = float(np.quantile([window_statistic(snippet)[0] for snippet in real], 0.05))
        settings = config.DetectSettings(method="paper", threshold=faintest)
        drawn = simulated(self.preset, TEST_SEED, settings)
        drawn = drawn.take(drawn.family != "technosignature")
        rows = np.random.default_rng([self.seed, 9]).permutation(len(drawn))[: len(real)]
        groups = np.concatenate([drawn.source[rows], -2 - np.arange(len(real))])
        return told_apart(eight_bit(drawn.power[rows].astype(np.float32)), eight_bit(real), self.seed, groups)

    def _measure(self, test: evaluate.TestSet, run: int, names: list[str]) -> dict[str, dict[str, Any]]:
        seed = [self.seed, run, *test.encode()]
        protocol = evaluate.PROTOCOLS[self.protocol]
        limits = {
            name: evaluate.limit_part(LIMITS[name], protocol, self.sizes, seed) for name in names if name in LIMITS
        }
        vectors = {name: self._row(name).vectors for name in names if name not in LIMITS}
        if test == "factors":
            return {**evaluate.factor_part(vectors, self.sizes, seed)}
        if test == "families":
            return {**evaluate.family_part(vectors, self.families, self.sizes, seed)}
        backgrounds = self.simulated if test == "simulated" else self.real if test == "real" else None
        most = {name: ROWS[name].most_per_class for name in vectors}
        return limits | evaluate.line_part(vectors, protocol, self.sizes, seed, backgrounds, most=most)

    def _row(self, name: str) -> Fitted:
        if name not in self._rows:
            sample = self.training if ROWS[name].fit_needs else None
            self._rows[name] = ROWS[name].fit(sample, np.random.default_rng([self.seed, 7]))
        return self._rows[name]

    def _path(self, test: str, run: int, name: str) -> Path:
        sizes = {key: value for key, value in asdict(self.sizes).items() if key != "runs"}
        who = ROWS[name].identity() if name in ROWS else name
        given = self.real_digest if test == "real" else ""
        key = config.digest(CODE, self.protocol, sizes, self.seed, self.preset, who, given)[:16]
        slug = "".join(letter if letter.isalnum() else "-" for letter in name)
        return self.folder / "parts" / f"{slug}-{test}-{run}-{key}.json"

    def _read(self, test: str, run: int, name: str) -> dict[str, Any] | None:
        path = self._path(test, run, name)
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return None  # not one of ours: measured again
        if not isinstance(found, dict):
            return None
        if test == "families" and confusion.parsed(found.get(confusion.KEY)) is None:
            return None  # from before the confusion was kept; the same seed gives the same figures
        return found

    @cached_property
    def real_digest(self) -> str:
        """The telescope's snippets in short."""
        return "" if self.real is None else hashlib.sha256(np.asarray(self.real).tobytes()).hexdigest()

    @cached_property
    def training(self) -> NDArray[np.float32]:
        """Detections of scans that the shipped encoders saw too, for rows that are fitted."""
        settings = config.DetectSettings(method="paper", threshold=THRESHOLDS[self.protocol])
        found = simulated(self.preset, TRAINING_SEED, settings, progress=self._progress)
        rows = np.random.default_rng([self.seed, 8]).permutation(len(found))[:SAMPLE]
        return found.power[np.sort(rows)].astype(np.float32)

    @cached_property
    def simulated(self) -> NDArray[np.float16]:
        """Detections of scans that nobody was trained on, without injections."""
        settings = config.DetectSettings(method="paper", threshold=THRESHOLDS[self.protocol])
        found = simulated(self.preset, TEST_SEED, settings, progress=self._progress)
        return found.take(found.family != "technosignature").power

    @cached_property
    def families(self) -> Detected:
        """What the default method detects in scans that nobody was trained on."""
        return simulated(self.preset, TEST_SEED, config.DetectSettings(), progress=self._progress)

    def _progress(self, done: int, total: int) -> None:
        self.report.progress("simulate", done, total)


def _fits(name: str, test: evaluate.TestSet) -> bool:
    """Tell whether a row is measured on a test set: limits know noise alone, factors are for what has latents."""
    if name in LIMITS:
        return test == "noise"
    return ROWS[name].has_latents if test == "factors" else not ROWS[name].is_head
