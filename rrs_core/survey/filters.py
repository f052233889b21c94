"""Hits filtered and ordered as whole columns: numbers as they are stored, names as small codes.

Everything here is a pass over a few arrays, so two million hits answer within a rerun of a page.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused
from rrs_core.survey.labels import CHOICES as CHOSEN
from rrs_core.survey.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

NONE = "none"  #: name of what a hit does not have: no cadence, no side, not clustered
#: The words of a link, plain text: bounds (0: lower, 1: upper), and names, which may be given more than once.
BOUNDS: dict[str, tuple[str, int]] = {
    "from": ("frequency_mhz", 0),
    "to": ("frequency_mhz", 1),
    "drift_from": ("drift_rate_hz_s", 0),
    "drift_to": ("drift_rate_hz_s", 1),
    "snr": ("snr", 0),
}
CHOICES = ("detector", "side", "target", "cadence", "status", "cluster")
LABEL = "label"  #: what people say of hits now; several of one hit where they differ, and none of most
DIFFER = "people differ"  #: of a hit that different people give different labels
HITS_NUMBERS = ("frequency_mhz", "drift_rate_hz_s", "snr", "s_statistic", "tstart_mjd")
CLUSTER_NUMBERS = ("anomaly_score", "rfi_distance")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
LONGEST, LARGEST = 40, 1e15  #: characters of a number in a link, and the number


@dataclass(frozen=True)
class Category:
    """A column of names: the code of each hit, shape (n,), and the name of each code."""

    codes: NDArray[np.integer]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """What hits are filtered by, in the order of `Survey.table`; arrays are shared and read-only.

    Attributes
    ----------
    numbers : mapping of ndarray, shape (n,), float64
        NaN where a hit has none.
    attached : mapping of (place, values)
        Numbers that only some hits have: hit i has values[place[i]], none where place[i] is -1.
    categories : mapping of Category
        By the names of `CHOICES`.
    said : mapping of ndarray of int64
        The rows of the hits that anybody gives a label now, by label; see `with_labels`.
    """

    numbers: Mapping[str, NDArray[np.float64]]
    categories: Mapping[str, Category]
    attached: Mapping[str, tuple[NDArray[np.int32], NDArray[np.float64]]] = field(default_factory=dict)
    said: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        arrays = [*self.numbers.values(), *(category.codes for category in self.categories.values())]
        return len(arrays[0]) if arrays else 0

    def values(self, name: str, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return a numeric column, of all hits or of some rows; NaN where a hit has none.

        Raises
        ------
        SettingsRefused
            COLUMN, for a name that is no numeric column.
        """
        if name in self.numbers:
            return self.numbers[name] if rows is None else self.numbers[name][rows]
        if name not in self.attached:
            raise SettingsRefused("COLUMN", "no such numeric column", got=name, expected=", ".join(self.measured()))
        place, values = self.attached[name]
        place = place if rows is None else place[rows]
        return np.where(place >= 0, values[place], np.nan) if len(values) else np.full(len(place), np.nan)

    def names(self, name: str) -> list[str]:
        """Return the names that a category, or `LABEL`, has; of labels none where nobody labelled a hit."""
        if name == LABEL:
            return [*self.said, NONE] if self.said else []
        return list(self.categories[name].names)

    def labels(self, rows: NDArray[np.int64]) -> list[tuple[str, ...]]:
        """Return the labels that people give the hits in some rows now; of one hit several where they differ."""
        found: dict[int, list[str]] = {}
        for label, own in self.said.items():
            for row in np.intersect1d(own, rows).tolist():
                found.setdefault(row, []).append(label)
        return [tuple(found.get(row, ())) for row in rows.tolist()]

    def by_label(self) -> Category:
        """Return what people say of each hit as one name: the label, `DIFFER` where people differ, or `NONE`."""
        names = (*self.said, DIFFER, NONE)
        codes = np.full(len(self), len(names) - 1, np.int32)
        for code, own in enumerate(self.said.values()):
            codes[own] = np.where(codes[own] == len(names) - 1, code, len(names) - 2)
        return Category(codes, names)

    def measured(self) -> list[str]:
        """Return the names of the numeric columns."""
        return [*self.numbers, *self.attached]

    def named(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return the names that some rows have in a category."""
        category = self.categories[name]
        names = np.array(category.names, object)
        found: NDArray[np.object_] = names[category.codes[rows]]
        return found


@dataclass(frozen=True)
class Filter:
    """Conditions that a hit must meet, all of them.

    Parameters
    ----------
    ranges : mapping of (lower, upper)
        By numeric column, both ends included, None where open. A hit without that number is left out.
    choices : mapping of names
        By category: the names that pass; empty means all. Of `LABEL`, hits pass that anybody gives one of the labels
        now, and with `NONE` those that nobody labelled.

    Raises
    ------
    SettingsRefused
        RANGE, for a bound that is not a number, or a lower one above the upper.

    Examples
    --------
    >>> Filter({"frequency_mhz": (1400.0, None)}, {"side": ("on",)}).ranges["frequency_mhz"]
    (1400.0, None)
    """

    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges.items():
            if any(bound is not None and math.isnan(bound) for bound in (low, high)):
                raise SettingsRefused("RANGE", "a bound is not a number", where=name, got=(low, high))
            if low is not None and high is not None and low > high:
                raise SettingsRefused(
                    "RANGE",
                    "the range is empty: its lower end is above its upper end",
                    where=name,
                    got=f"{low:.15g} to {high:.15g}",
                    todo="swap the two, or empty one of them",
                )


def mask(columns: Columns, wanted: Filter) -> NDArray[np.bool_]:
    """Return which hits meet all conditions, shape (n,).

    Raises
    ------
    SettingsRefused
        COLUMN for a column, CHOICE for a name that the hits do not have.
    """
    found = np.ones(len(columns), bool)
    for name, (low, high) in wanted.ranges.items():
        if low is not None:
            found &= columns.values(name) >= low
        if high is not None:
            found &= columns.values(name) <= high
    for name, chosen in wanted.choices.items():
        if not chosen:
            continue
        if name == LABEL:
            found &= _said(columns, chosen)
            continue
        if name not in columns.categories:
            raise SettingsRefused("COLUMN", "no such category", got=name, expected=", ".join(columns.categories))
        category = columns.categories[name]
        if missing := set(chosen) - set(category.names):
            raise SettingsRefused("CHOICE", "no hit has that name", where=name, got=", ".join(sorted(missing)))
        passes = np.array([one in chosen for one in category.names])
        found &= passes[category.codes]
    return found


def _said(columns: Columns, chosen: Sequence[str]) -> NDArray[np.bool_]:
    """Return which hits anybody gives one of some labels now, or with `NONE` nobody any."""
    if missing := set(chosen) - set(columns.names(LABEL)):
        raise SettingsRefused("CHOICE", "no hit has that name", where=LABEL, got=", ".join(sorted(missing)))
    found = np.zeros(len(columns), bool)
    if NONE in chosen:
        found[:] = True
        for rows in columns.said.values():
            found[rows] = False
    for name in chosen:
        if name != NONE:
            found[columns.said[name]] = True
    return found


def leading(values: NDArray[np.float64], limit: int, *, falling: bool) -> NDArray[np.int64]:
    """Return the places of the first `limit` values in order; of equal ones the earlier comes first, NaN comes last.

    The same as a stable sort of all of them, which two million hits have no time for.

    >>> leading(np.array([2.0, np.nan, 5.0, 2.0]), 3, falling=True)
    array([2, 0, 3])
    """
    keys = -values if falling else values
    if limit < len(keys):
        last = np.partition(keys, limit - 1)[limit - 1] if limit > 0 else -np.inf
        before, level = (~np.isnan(keys), np.isnan(keys)) if np.isnan(last) else (keys < last, keys == last)
        places = np.flatnonzero(before)
        places = np.concatenate([places, np.flatnonzero(level)[: max(0, limit - len(places))]])
        places.sort()
    else:
        places = np.arange(len(keys))
    return places[np.argsort(keys[places], kind="stable")]


def columns_of(survey: Survey) -> Columns:
    """Return the columns of a survey's hits, a pass over its tables: keep them."""
    import pandas as pd

    table = survey.table
    hit_id = table["hit_id"].to_numpy(np.int64)
    numbers = {name: table[name].to_numpy(np.float64) for name in HITS_NUMBERS}
    attached = {}
    own = survey.clusters
    place = _places(hit_id, own)
    for name in CLUSTER_NUMBERS:
        if name in own:
            attached[name] = (place, own[name].to_numpy(np.float64))
    status, cluster = np.full(len(table), None, object), np.full(len(table), -1, np.int64)
    if len(own):
        known = place >= 0
        status[known] = own["status"].to_numpy(object)[place[known]]
        cluster[known] = own["cluster_id"].to_numpy(np.int64)[place[known]]
    features = survey.features
    place = _places(hit_id, features)
    for name in map(str, features):
        if name not in numbers and name != "hit_id" and pd.api.types.is_float_dtype(features[name]):
            attached[name] = (place, features[name].to_numpy(np.float64))
    known_cluster = pd.Series(cluster).astype("Int64")
    categories = {
        "detector": _category(table["detector"]),
        "side": _category(table["on"].map({True: "on", False: "off"}), ("on", "off")),
        "target": _category(table["source_name"]),
        "cadence": _category(table["cadence_id"]),
        "status": _category(pd.Series(status, dtype="str"), ("rfi", "anomaly")),
        "cluster": _category(known_cluster.mask(known_cluster < 0)),
    }
    numbers = {name: values for name, values in numbers.items() if np.isfinite(values).any()}
    attached = {name: pair for name, pair in attached.items() if (pair[0] >= 0).any() and np.isfinite(pair[1]).any()}
    arrays = [*numbers.values(), *(one for pair in attached.values() for one in pair)]
    for array in (*arrays, *(category.codes for category in categories.values())):
        array.setflags(write=False)
    return Columns(numbers, categories, attached)


def with_labels(columns: Columns, hit_id: NDArray[np.int64], now: pd.DataFrame) -> Columns:
    """Return columns that know what people say; the others are shared, not copied.

    Parameters
    ----------
    columns : Columns
    hit_id : ndarray, shape (n,)
        Of each row.
    now : DataFrame
        `labels.current`: hit_id and label, a row for each person and hit. Labels by the name `NONE` are left out, as
        are hits that the survey does not hold. Once there is any, all of `labels.CHOICES` can be asked for.
    """
    rows = Lookup(hit_id).rows(now["hit_id"].to_numpy(np.int64))
    others = sorted(set(now["label"]) - {NONE, *CHOSEN})
    said = {
        f"{label}": np.unique(rows[(now["label"] == label).to_numpy() & (rows >= 0)]).astype(np.int64)
        for label in (*CHOSEN, *others)
    }
    return replace(columns, said=said if any(map(len, said.values())) else {})


def _places(hit_id: NDArray[np.int64], own: pd.DataFrame) -> NDArray[np.int32]:
    """Return the row of each hit in a table of some of them, -1 where it has none."""
    return Lookup(own["hit_id"].to_numpy(np.int64)).rows(hit_id).astype(np.int32)


def _category(values: pd.Series, order: tuple[str, ...] = ()) -> Category:
    """Return a column as codes of its names: those in `order` first, the rest rising, what has none last."""
    import pandas as pd

    codes, uniques = pd.factorize(values, sort=True)
    names = [f"{name}" for name in uniques]
    ranked = sorted(range(len(names)), key=lambda i: (order.index(names[i]) if names[i] in order else len(order), i))
    rank = np.empty(len(names) + 1, np.int64)
    rank[ranked] = np.arange(len(names))
    rank[-1] = len(names)  # code -1: the hit has none
    ordered = [names[i] for i in ranked]
    if (codes < 0).any():
        ordered.append(NONE)
    small = np.int16 if len(ordered) < 2**15 else np.int32
    return Category(rank[codes].astype(small), tuple(ordered))


# Links


def read_words(
    words: Mapping[str, Sequence[str]], options: Mapping[str, Sequence[str]]
) -> tuple[dict[str, float | tuple[str, ...]], list[str]]:
    """Return what the words of a link ask for, and the words that are ignored, each with the reason.

    `words` hold the texts of each word in order; of a bound, the last counts. `options` are the names that each
    word of names may have. Words of neither kind are left alone.

    >>> read_words({"from": ["1400"], "snr": ["nan"]}, {})
    ({'from': 1400.0}, ['snr: not a number'])
    """
    found: dict[str, float | tuple[str, ...]] = {}
    ignored = []
    for word, texts in words.items():
        if not texts:
            continue
        if word in BOUNDS:
            number = read_number(texts[-1])
            if number is None:
                ignored.append(f"{word}: not a number")
            elif word in ("from", "to") and number < 0:
                ignored.append(f"{word}: no frequency is negative")
            else:
                found[word] = number
        elif word in options:
            known = set(options[word])
            named = tuple(dict.fromkeys(text for text in texts if text in known))
            if named:
                found[word] = named
            if any(text not in known for text in texts):
                ignored.append(f"{word}: not known in this survey")
    return found, ignored


def read_number(text: str) -> float | None:
    """Return a number written as people write it; None for anything else, as nan, inf or thousands of digits.

    >>> read_number("1420.4"), read_number("-1e-3"), read_number("nan"), read_number("9" * 5000)
    (1420.4, -0.001, None, None)
    """
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if abs(number) <= LARGEST else None


def write_words(given: Mapping[str, float | tuple[str, ...] | None]) -> dict[str, list[str]]:
    """Return the words of a link to what is given; open bounds and empty choices are left out.

    >>> write_words({"from": 1400.0, "to": None, "side": ("on",)})
    {'from': ['1400'], 'side': ['on']}
    """
    words = {}
    for word, value in given.items():
        if isinstance(value, tuple):
            texts = [f"{name}" for name in value]
        else:
            texts = [] if value is None else [repr(float(value)).removesuffix(".0")]
        if texts:
            words[word] = texts
    return words


def filter_of(given: Mapping[str, float | tuple[str, ...] | None]) -> Filter:
    """Return the filter that the words of a link ask for; words of other kinds are left alone.

    Raises
    ------
    SettingsRefused
        RANGE, as `Filter`.
    """
    ranges: dict[str, list[float | None]] = {}
    for word, (name, end) in BOUNDS.items():
        value = given.get(word)
        if isinstance(value, int | float):
            ranges.setdefault(name, [None, None])[end] = float(value)
    choices = {word: value for word in (*CHOICES, LABEL) if isinstance(value := given.get(word), tuple) and value}
    return Filter({name: (low, high) for name, (low, high) in ranges.items()}, choices)
