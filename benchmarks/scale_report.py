"""What a large survey needs, from measured growth: `python -m benchmarks.scale_report POINTS.json [--write]`.

Fits how each stage grows and works out what 12,000 scans and a petabyte come to. `--write` puts the tables into
docs/scale.md and keeps the points as benchmarks/scale.json; without it they are printed. Prices, cores and memory are
arguments, and assumptions.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks import scale
from benchmarks.scale_data import COARSE_A_SCAN, DRIFT_HITS_A_SCAN
from benchmarks.scale_work import FEATURE_COARSE, STAGES
from rrs_core.survey.store import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

PAGE = scale.ROOT / "docs" / "scale.md"
POINTS = scale.ROOT / "benchmarks" / "scale.json"
SHARE = 100.0  #: growth is fitted to sizes from the largest down to this part of it: two decades
FEWEST = 3  #: points that a fit needs
SCAN_GB = 20.0  #: a fine-resolution file
ENERGY_HITS_A_SCAN = 2_000_000 // 30  #: snippets from energy detection (Ma et al. 2023, section 2.2)
HITS_A_SCAN = ENERGY_HITS_A_SCAN + DRIFT_HITS_A_SCAN  #: what is cut out, encoded, searched and drawn
SURVEYS = {"12,000 scans (240 TB)": 12_000, "a petabyte (50,000 scans)": 50_000}

Where = Literal["workers", "one process"]


@dataclass(frozen=True)
class Assumed:
    """What is not measured here: what a machine has and costs."""

    cores: tuple[int, ...] = (2, 64, 1024)
    memory_gb: float = 64.0  #: of the machine that the build runs on
    disk_gb_s: float = 1.0  #: of file that all workers together read
    core_hour: float = 0.04  #: price of a core for an hour
    tb_month: float = 20.0  #: price of a terabyte for a month
    months: float = 12.0  #: that products are kept


@dataclass(frozen=True)
class Growth:
    """A power law, cost = factor * size^slope, by least squares of the logarithms."""

    slope: float
    error: float  #: standard error of the slope
    factor: float
    first: float  #: least size that was fitted
    last: float  #: largest

    def at(self, size: float, errors: float = 0.0) -> float:
        """Return the cost at a size; `errors` standard errors of the slope more, beyond the largest size."""
        return self.factor * size**self.slope * (size / self.last) ** (errors * self.error)

    def size_of(self, cost: float) -> float:
        """Return the size that costs so much; infinite where nothing grows."""
        return (cost / self.factor) ** (1 / self.slope) if self.slope > 0 else np.inf


@dataclass(frozen=True)
class Line:
    """cost = fixed + each * size, with the least sum of squared relative errors and nothing below zero."""

    fixed: float
    each: float

    def at(self, size: float) -> float:
        """Return the cost at a size."""
        return self.fixed + self.each * size


def power_law(sizes: ArrayLike, costs: ArrayLike) -> Growth:
    """Return how costs grow over the two decades up to the largest size, shape (n,) both, n >= 3.

    Raises
    ------
    ValueError
        For fewer than three points, or a size or cost that is not above zero.
    """
    size, cost = np.asarray(sizes, np.float64), np.asarray(costs, np.float64)
    near = size >= size.max(initial=0) / SHARE
    if near.sum() < FEWEST or (size <= 0).any() or (cost <= 0).any():
        raise ValueError("a power law is fitted to three points or more, all above zero")
    x, y = np.log(size[near]), np.log(cost[near])
    spread = ((x - x.mean()) ** 2).sum()
    slope = ((x - x.mean()) * y).sum() / spread
    level = y.mean() - slope * x.mean()
    error = np.sqrt(((y - level - slope * x) ** 2).sum() / (len(x) - 2) / spread)
    return Growth(float(slope), float(error), float(np.exp(level)), float(size[near].min()), float(size.max()))


def line(sizes: ArrayLike, costs: ArrayLike) -> Line:
    """Return the line through costs, shape (n,), that is nearest by relative errors."""
    from scipy.optimize import nnls

    size, cost = np.asarray(sizes, np.float64), np.asarray(costs, np.float64)
    (fixed, each), _ = nnls(np.stack([1 / cost, size / cost], axis=1), np.ones(len(cost)))
    return Line(float(fixed), float(each))


@dataclass(frozen=True)
class Curve:
    """What a stage took at all its sizes, by size."""

    stage: str
    unit: str
    size: NDArray[np.float64]
    cpu_s: NDArray[np.float64]
    peak_gb: NDArray[np.float64]
    read_gb: NDArray[np.float64]
    written_gb: NDArray[np.float64]

    @property
    def growth(self) -> Growth:
        """How its processor time grows."""
        return power_law(self.size, self.cpu_s)

    @property
    def memory_gb(self) -> Line:
        """Its peak of memory over the last decade as a line [GB]: what fills at first, and then no more, is past."""
        return line(self.size[self._last], self.peak_gb[self._last])

    @property
    def tail_s(self) -> Line:
        """Its processor time over the last decade as a line [s]: what a power law misses where much is fixed."""
        return line(self.size[self._last], self.cpu_s[self._last])

    @property
    def _last(self) -> NDArray[np.bool_]:
        return np.asarray(self.size >= self.size.max() / 10)

    def whole_s(self, size: float, errors: float = 0.0) -> float:
        """Return its processor time at a size beyond the largest [s]: by power law or tail, whichever is more."""
        return max(self.growth.at(size, errors), self.tail_s.at(size))

    def size_of(self, seconds: float) -> float:
        """Return the size at which it takes so long, by whichever is sooner."""
        tail = self.tail_s
        return min(self.growth.size_of(seconds), (seconds - tail.fixed) / tail.each if tail.each > 0 else np.inf)

    @property
    def each_s(self) -> Line:
        """Its processor time as a line [s]."""
        return line(self.size, self.cpu_s)


def curves(points: Sequence[dict[str, Any]]) -> dict[str, Curve]:
    """Return the stages that have points enough for a fit; the stage `cluster` as its epochs and the rest."""
    found: dict[str, Curve] = {}
    for name, stage in STAGES.items():
        own = sorted((point for point in points if point["stage"] == name), key=lambda point: float(point["size"]))
        if len(own) < FEWEST:
            continue
        size, cpu, peak, before, read, written = (
            np.array([point[column] for point in own], np.float64)
            for column in ("size", "cpu_s", "peak_mb", "before_mb", "read_bytes", "written_bytes")
        )
        peak += before.min() - before  # what a larger input took to make is not the stage's
        moved = peak / 1024, read / 1e9, written / 1e9
        if name == "cluster":
            epochs = np.array([point["told"]["epochs_s"] for point in own], np.float64)
            found["epochs"] = Curve("epochs", stage.unit, size, epochs, peak / 1024, *np.zeros((2, len(own))))
            found["superclusters"] = Curve("superclusters", stage.unit, size, cpu - epochs, *moved)
        else:
            found[name] = Curve(name, stage.unit, size, cpu, *moved)
    return found


@dataclass(frozen=True)
class Need:
    """What one step of a build needs for a whole survey."""

    step: str
    stage: str  #: whose points it rests on
    where: Where
    core_h: float
    core_h_range: tuple[float, float]  #: with the slope two standard errors less and more
    memory_gb: float
    read_tb: float
    written_tb: float
    beyond: float  #: how many times larger the piece of work is than the largest that was measured


def needs(found: dict[str, Curve], n_scans: int) -> list[Need]:
    """Return what each step that was measured needs for so many scans.

    Steps of single scans are so many jobs of one size, whose cost is the line of its stage. Steps of the whole
    survey are one piece of work, whose cost follows the power law, or the line of its last decade where that is more.
    """
    scans_tb = n_scans * SCAN_GB / 1000
    hits, drifting = float(n_scans * HITS_A_SCAN), float(n_scans * DRIFT_HITS_A_SCAN)
    made: list[Need] = []

    def a_scan(step: str, stage: str, where: Where, size: float, read_tb: float, times: float = 1.0) -> None:
        if stage in found:
            curve = found[stage]
            hours = n_scans * curve.each_s.at(size) * times / 3600
            written = n_scans * line(curve.size, np.maximum(curve.written_gb, 1e-12)).at(size) / 1000
            beyond = size / curve.size.max()
            peak = float(curve.peak_gb.max())
            made.append(Need(step, stage, where, hours, (hours, hours), peak, read_tb, written, beyond))

    def whole(step: str, stage: str, where: Where, size: float) -> None:
        if stage in found:
            curve, growth = found[stage], found[stage].growth
            low, middle, high = (curve.whole_s(size, errors) / 3600 for errors in (-2, 0, 2))
            peak = curve.memory_gb.at(size)
            written = line(curve.size, np.maximum(curve.written_gb, 1e-12)).at(size) / 1000
            made.append(Need(step, stage, where, middle, (low, high), peak, 0.0, written, size / growth.last))

    if "ingest" in found:  # bytes count, and files of simulated scans are smaller
        times = SCAN_GB / _simulated_gb(found["ingest"])
        a_scan("header and SHA-256 of each file", "ingest", "one process", COARSE_A_SCAN, scans_tb, times)
        a_scan("SHA-256 again before the search", "ingest", "workers", COARSE_A_SCAN, scans_tb, times)
    a_scan("both searches, snippets cut", "detect", "workers", COARSE_A_SCAN, scans_tb)
    if "features" in found:
        own = found["features"].each_s
        # of a scan of more coarse channels the part that does not hang on the hits is so much larger
        cost = own.fixed * COARSE_A_SCAN / FEATURE_COARSE + own.each * DRIFT_HITS_A_SCAN
        times = cost / own.at(DRIFT_HITS_A_SCAN)
        a_scan("features", "features", "workers", DRIFT_HITS_A_SCAN, scans_tb, times)
    a_scan("latents", "encode", "one process", HITS_A_SCAN, 0.0)
    whole("tables and snippets put together", "merge", "one process", hits)
    whole("epochs of clustering", "epochs", "workers", drifting)
    whole("superclusters and the rest of clustering", "superclusters", "one process", drifting)
    whole("events", "events", "one process", drifting)
    whole("map of latents", "project", "one process", hits)
    whole("map of features", "project", "one process", drifting)
    return made


def _simulated_gb(ingest: Curve) -> float:
    """Return how large a simulated scan of full width is."""
    return line(ingest.size, ingest.read_gb).at(COARSE_A_SCAN)


@dataclass(frozen=True)
class Wall:
    """Something that a survey meets as it grows, and with how many scans."""

    what: str
    scans: float
    rests_on: str


def walls(found: dict[str, Curve], assumed: Assumed) -> list[Wall]:
    """Return where a build meets its limits, the first first: memory, or a day and more of one process."""
    of_all = {"merge": "putting together", "project": "the map of latents", "encode": "latents in one process"}
    of_drifting = {"superclusters": "superclusters in one process", "events": "events in one process"}
    met: list[Wall] = []
    for stage, name in (of_all | of_drifting).items():
        if stage not in found:
            continue
        curve, hits = found[stage], HITS_A_SCAN if stage in of_all else DRIFT_HITS_A_SCAN
        growth, memory = curve.growth, curve.memory_gb
        day = 86_400 / (curve.each_s.at(hits)) if stage == "encode" else curve.size_of(86_400) / hits
        met.append(Wall(f"time: {name} takes a day", day, f"slope {growth.slope:.2f} ± {growth.error:.2f}"))
        if memory.each > 0 and stage != "encode":
            full = (assumed.memory_gb - memory.fixed) / memory.each / hits
            told = f"{1e6 * memory.each:.3g} kB a hit"
            met.append(
                Wall(f"memory: {name.removesuffix(' in one process')} fills {assumed.memory_gb:g} GB", full, told)
            )
    if "ingest" in found:
        own = found["ingest"].each_s.at(COARSE_A_SCAN) * SCAN_GB / _simulated_gb(found["ingest"])
        met.append(Wall("time: SHA-256 of new files in one process takes a day", 86_400 / own, f"{own:.3g} s a scan"))
    day = 86_400 * assumed.disk_gb_s / (4 * SCAN_GB)
    met.append(Wall(f"disk: four readings at {assumed.disk_gb_s:g} GB/s take a day", day, "an assumed disk"))
    return sorted(met, key=lambda one: one.scans)


# The page


def page(kept: dict[str, Any], assumed: Assumed, text: str) -> str:
    """Return the page with its marked parts made anew."""
    text = _between(text, "status", status(kept))
    return _between(text, "tables", "\n\n".join(tables(kept["points"], assumed)))


def status(kept: dict[str, Any]) -> str:
    """Return how many points there are of those that are wanted."""
    left, most = len(scale.missing(kept["points"])), len(list(scale.wanted()))
    if left:
        return f"**Not finished: {most - left} of {most} points measured.** (`python -m benchmarks.scale OUT` goes on.)"
    return f"{most} points, measured on {kept['machine']}."


def tables(points: Sequence[dict[str, Any]], assumed: Assumed) -> Iterable[str]:
    """Return the tables of the page, as Markdown."""
    found = curves(points)
    if not found:
        yield "No stage has been measured at three sizes yet."
        return
    yield "### How each stage grows"
    yield _table(
        ("stage", "sizes measured", "processor time", "slope ± standard error", "as a line", "peak of memory"),
        (
            (
                one.stage,
                f"{_number(one.size.min())} to {one.size.max():,.8g} {one.unit}",
                f"{one.cpu_s.min():.2g} to {one.cpu_s.max():.3g} s",
                f"{one.growth.slope:.2f} ± {one.growth.error:.2f}",
                f"{one.each_s.fixed:.2g} s + {1000 * one.each_s.each:.3g} ms each",
                f"{one.peak_gb.min():.2f} to {one.peak_gb.max():.2f} GB",
            )
            for one in found.values()
        ),
    )
    for name, n_scans in SURVEYS.items():
        own = needs(found, n_scans)
        yield f"### What {name} needs"
        yield _table(
            ("step", "rests on", "done by", "core-hours", "memory", "reads", "writes", "beyond what was measured"),
            (
                (
                    one.step,
                    one.stage,
                    one.where,
                    _ranged(one),
                    f"{_number(one.memory_gb)} GB",
                    f"{_number(one.read_tb)} TB" if one.read_tb else "",
                    f"{_number(one.written_tb)} TB" if one.written_tb >= 1e-3 else "",
                    f"{_number(one.beyond)} x",
                )
                for one in own
            ),
        )
        yield "\n".join([*_summary(own, n_scans, assumed), *_question(found, n_scans)])
    yield "### What stands in the way first"
    yield _table(
        ("what", "with so many scans", "rests on"),
        ((one.what, f"{_number(one.scans)}", one.rests_on) for one in walls(found, assumed)),
    )


def _ranged(one: Need) -> str:
    low, high = one.core_h_range
    return f"{_number(one.core_h)}" if low == high else f"{_number(one.core_h)} ({_number(low)} to {_number(high)})"


def _summary(own: list[Need], n_scans: int, assumed: Assumed) -> Iterable[str]:
    shared = sum(one.core_h for one in own if one.where == "workers")
    alone = sum(one.core_h for one in own if one.where == "one process")
    read = sum(one.read_tb for one in own)
    written = sum(one.written_tb for one in own if one.stage != "detect")  # its parts go when they are put together
    hours = ", ".join(f"{_number(shared / cores + alone)} h on {cores:,} cores" for cores in assumed.cores)
    price, keeping = (shared + alone) * assumed.core_hour, written * assumed.months * assumed.tb_month
    raw = n_scans * SCAN_GB / 1000 * assumed.months * assumed.tb_month
    yield f"* Together {_number(shared + alone)} core-hours, {_number(alone)} of them in one process: {hours}."
    disk = read * 1000 / assumed.disk_gb_s / 3600
    yield (
        f"* Reading {_number(read)} TB takes {_number(disk)} h at {assumed.disk_gb_s:g} GB/s; products that stay are "
        f"{_number(written)} TB."
    )
    yield (
        f"* Money, at an assumed {assumed.core_hour:g} a core-hour and {assumed.tb_month:g} a terabyte and month: "
        f"{_number(price)} for computing, {_number(keeping)} to keep the products for {assumed.months:g} months, "
        f"{_number(raw)} to keep the scans as long."
    )


def _question(found: dict[str, Curve], n_scans: int) -> Iterable[str]:
    """Say what one search takes."""
    if "search" in found:
        growth, hits = found["search"].growth, n_scans * HITS_A_SCAN
        low, middle, high = (growth.at(hits, errors) for errors in (-2, 0, 2))
        yield (
            f"* One search through {_number(hits / 1e6)} million latents on disk takes {_number(middle)} s of one core "
            f"({_number(low)} to {_number(high)}), {_number(hits / growth.last)} times more latents than were measured."
        )


def _number(value: float) -> str:
    """Return a number of three digits, without powers of ten."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _between(text: str, name: str, inside: str) -> str:
    """Return the text with what stands between two marks replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page has not one {begin} and one {end}")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{inside}\n{end}{rest.split(end)[1]}"


def main() -> None:
    """Print the page, or write it."""
    usual = Assumed()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("points", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--memory-gb", type=float, default=usual.memory_gb)
    parser.add_argument("--disk-gb-s", type=float, default=usual.disk_gb_s)
    parser.add_argument("--core-hour", type=float, default=usual.core_hour)
    parser.add_argument("--tb-month", type=float, default=usual.tb_month)
    parser.add_argument("--cores", type=int, nargs="+", default=usual.cores)
    chosen = parser.parse_args()
    assumed = Assumed(
        tuple(chosen.cores), chosen.memory_gb, chosen.disk_gb_s, chosen.core_hour, chosen.tb_month, usual.months
    )
    kept = scale.read(chosen.points)
    made = page(kept, assumed, PAGE.read_text(encoding="utf-8"))
    if not chosen.write:
        sys.stdout.write(made)
        return
    write_text(PAGE, made)
    write_text(POINTS, json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
