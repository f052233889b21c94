"""The 13 features on comparable scales, and the map that brings others onto the same.

`paper` follows the published code where it and the text differ; see `fit`.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from rrs_core.errors import FileRefused, SettingsRefused, SurveyRefused
from rrs_core.survey.store import atomic
from rrs_core.survey.tables import FEATURES

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.config import Method

COLUMNS = tuple(FEATURES)[1:]  #: the 13 features in the paper's order, hit_id left out
FREQUENCY, DRIFT = 0, 1
PAPER_LOG = ("snr", "swk", "turning_point_bandwidth_hz", "time_std", "spectrum_std", "redness")
DEFAULT_LOG = (*PAPER_LOG, "bandwidth_hz")
RAW = ("bimodality", "kurtosis_bandwidth_correlation")  #: between -1 and 1 as they are
QUANTILES = 100_000  #: of the paper's drift transform, and the rows that they are taken from
BOUND = 1e-7  #: scikit-learn's: a normal quantile stays this far from 0 and 1, within +-5.199
OUTER, MARGIN = (0.01, 0.99), 0.25  #: quantiles that robust scaling maps to 0 and 1, and how far it goes beyond


@dataclass(frozen=True)
class Transformer:
    """A fitted map of features; `fit` makes one.

    Column i becomes (g(x) - offset[i]) / scale[i], where g is what its method says and x
    is first brought into low[i] to high[i].
    """

    method: Method
    drift_quantum_hz_s: float
    salt: int  #: of the dither
    frequency_mhz: NDArray[np.float64]  #: every fitted frequency, sorted, shape (n,) [MHz]
    drift_quantiles: NDArray[np.float64]  #: of the signed drift (paper), shape (q,) [Hz/s]
    low: NDArray[np.float64]  #: shape (13,)
    high: NDArray[np.float64]
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def transform(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return points, float64, shape (n, 13), finite.

        The fitted rows come out as they did in the fit. Of others, what lies outside the fitted
        range is brought to its end (`paper`: columns 6 and 7 excepted, which are raw;
        `default`: to 0.25 beyond the 1 % and 99 % quantiles), and a logarithm of
        something not positive is that of the smallest positive fitted value.

        Raises
        ------
        SurveyRefused
            FEATURES, for a missing column or a number that is not finite.
        """
        return self._scaled(self._mapped(_matrix(features)))

    def save(self, path: Path) -> None:
        """Write the map as .npz, atomically."""
        with atomic(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(
                handle,
                method=np.array(self.method),
                drift_quantum_hz_s=np.array(self.drift_quantum_hz_s),
                salt=np.array(self.salt, np.uint64),
                notes=np.array(self.notes, np.str_),
                **{name: getattr(self, name) for name in ARRAYS},
            )

    def _mapped(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return g of every column."""
        paper = self.method == "paper"
        logarithmic = PAPER_LOG if paper else DEFAULT_LOG
        mapped = np.clip(raw, self.low, self.high)
        for place, name in enumerate(COLUMNS):
            if name in logarithmic:
                mapped[:, place] = np.log10(mapped[:, place])
        mapped[:, FREQUENCY] = ranks(raw[:, FREQUENCY], self.frequency_mhz)
        mapped[:, DRIFT] = (
            np.abs(normal_quantile(raw[:, DRIFT], self.drift_quantiles))
            if paper
            else np.log1p(self._dithered(raw) / self.drift_quantum_hz_s)
        )
        return mapped

    def _scaled(self, mapped: NDArray[np.float64]) -> NDArray[np.float64]:
        points = (mapped - self.offset) / self.scale
        if self.method == "default":
            robust = [place for place, name in enumerate(COLUMNS) if place != FREQUENCY and name not in RAW]
            points[:, robust] = np.clip(points[:, robust], -MARGIN, 1 + MARGIN)
        return np.asarray(points)

    def _dithered(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return |drift| moved by up to half a step of the search, either way [Hz/s].

        Drifts come in steps, and whole planes of equal ones would lie on top of each other. The move
        is drawn from the row's own frequency, drift and SNR and the salt, so it does not depend on the order of rows.
        """
        spread = uniform_of(raw[:, :3], self.salt) - 0.5
        return np.abs(np.abs(raw[:, DRIFT]) + spread * self.drift_quantum_hz_s)


ARRAYS = ("frequency_mhz", "drift_quantiles", "low", "high", "offset", "scale")


def fit(features: pd.DataFrame, method: Method, *, drift_quantum_hz_s: float, rng: np.random.Generator) -> Transformer:
    """Fit the map of features onto comparable scales.

    `paper`, by column, as in the published code; where the text differs it says so:

    1. rank of the frequency / N, equal ones sharing their mean rank (text: quantile transform to uniform, the same).
    2. quantile transform of the *signed* drift to a normal, with up to 100,000 quantiles of up
       to 100,000 rows, then the magnitude, / max. Text: magnitude, normal, unit variance.
       Folding afterwards makes opposite drifts unequal wherever their numbers are.
    3, 5, 8, 13. log10, then 0 to 1 by least and largest (text: the same).
    4. 0 to 1, linear (the same).
    6, 7. raw (the same).
    9. 0 to 1 by least and largest. Text: unit maximum with negative values kept.
    10, 11. log10 minus its least, not divided: the range may exceed 1. Text: unit range.
    12. / max, linear. Text: unit range.

    The published subsample of 2 is not seeded; here it is drawn from `rng`.

    `default`: |drift| first, dithered by up to half a step, log1p(|drift| / step); 12 in the
    logarithm as well; everything but 1, 6 and 7 scaled by its 1 % and 99 % quantiles to 0 and 1 and
    stopped 0.25 beyond, 10 and 11 included.

    Parameters
    ----------
    features : DataFrame
        Columns of table features, hit_id not needed; hits and seeds stacked.
    method : {"default", "paper"}
    drift_quantum_hz_s : float
        Step of the drift search [Hz/s]; `default` only.
    rng : Generator

    Returns
    -------
    Transformer
        Its notes tell how many values a logarithm could not take: they are given the
        smallest positive one of their column.

    Raises
    ------
    SurveyRefused
        FEATURES, for a missing column or a number that is not finite: HDBSCAN would call such a row noise,
        scikit-learn's would give it labels of its own, which read as RFI.
    SettingsRefused
        DRIFT_STEP, if it is not positive.

    References
    ----------
    Jacobson-Bell et al. 2025, section 2; the code is bjacobell/gbt-hdbscan.
    """
    if method == "default" and not (np.isfinite(drift_quantum_hz_s) and drift_quantum_hz_s > 0):
        raise SettingsRefused("DRIFT_STEP", "step of the drift search", got=drift_quantum_hz_s, expected="above 0 Hz/s")
    raw = _matrix(features)
    none = np.empty(0)
    low, high = (raw.min(axis=0), raw.max(axis=0)) if len(raw) else (np.zeros(13), np.ones(13))
    notes = []
    for place, name in enumerate(COLUMNS):
        if name in (PAPER_LOG if method == "paper" else DEFAULT_LOG):
            positive = raw[raw[:, place] > 0, place]
            low[place] = positive.min() if positive.size else 1.0
            high[place] = max(high[place], low[place])
            if count := len(raw) - positive.size:
                notes.append(f"{count:,} rows have {name} of 0 or less: they are given its smallest positive value")
        elif name in RAW or place in (FREQUENCY, DRIFT):
            low[place], high[place] = -np.inf, np.inf
    bare = Transformer(
        method=method,
        drift_quantum_hz_s=float(drift_quantum_hz_s),
        salt=int(rng.integers(2**63)),
        frequency_mhz=np.sort(raw[:, FREQUENCY]),
        drift_quantiles=_quantiles(raw[:, DRIFT], rng) if method == "paper" else none,
        low=low,
        high=high,
        offset=np.zeros(13),
        scale=np.ones(13),
        notes=tuple(notes),
    )
    offset, scale = _scaling(bare._mapped(raw), method)
    return Transformer(**{**vars(bare), "offset": offset, "scale": scale})


def load(path: Path) -> Transformer:
    """Read a map that `Transformer.save` wrote.

    Raises
    ------
    FileRefused
        TRANSFORMER, if it is not one.
    """
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as kept:
            found = {name: kept[name] for name in ("method", "drift_quantum_hz_s", "salt", "notes", *ARRAYS)}
        arrays = {name: np.asarray(found[name], np.float64) for name in ARRAYS}
        method = str(found["method"])
        if method not in ("default", "paper") or any(
            arrays[name].shape != (13,) for name in ("low", "high", "offset", "scale")
        ):
            raise ValueError("its contents do not fit together")
        return Transformer(
            method=cast("Literal['default', 'paper']", method),
            drift_quantum_hz_s=float(found["drift_quantum_hz_s"]),
            salt=int(found["salt"]),
            notes=tuple(str(note) for note in found["notes"]),
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FileRefused(
            "TRANSFORMER",
            f"the features' scaling cannot be read: {error}",
            where=path,
            todo="run rrs cluster again",
        ) from error


def ranks(values: NDArray[np.float64], fitted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of values among sorted fitted ones over their number, equal ones sharing the mean rank.

    From 1 / n to 1 where `values` were fitted; what lies between two has the half between their ranks.
    """
    n = max(1, len(fitted))
    left, right = np.searchsorted(fitted, values, "left"), np.searchsorted(fitted, values, "right")
    return np.asarray(np.clip((left + right + 1) / 2, 1, n) / n)


def normal_quantile(values: NDArray[np.float64], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values mapped to a normal distribution as scikit-learn's QuantileTransformer does.

    The mean of the two ways to interpolate where quantiles repeat; ends within +-5.199.
    """
    from scipy.special import ndtri

    if not len(quantiles):
        return np.zeros(len(values))
    share = np.linspace(0, 1, len(quantiles))
    up = np.interp(values, quantiles, share)
    down = -np.interp(-values, -quantiles[::-1], -share[::-1])
    even = 0.5 * (up + down)
    even[values + BOUND > quantiles[-1]] = 1
    even[values - BOUND < quantiles[0]] = 0
    return np.asarray(np.clip(ndtri(even), ndtri(BOUND - np.spacing(1)), ndtri(1 - (BOUND - np.spacing(1)))))


def uniform_of(rows: NDArray[np.float64], salt: int) -> NDArray[np.float64]:
    """Return a number drawn evenly from 0 to 1 for each row, from its bits and the salt; equal rows, equal numbers.

    SplitMix64 (Steele et al. 2014), one round a column.
    """
    state = np.full(len(rows), salt, np.uint64)
    for bits in np.ascontiguousarray(rows.T + 0.0).view(np.uint64):  # + 0.0: a drift of -0 is one of 0
        state = (state ^ bits) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _quantiles(drift: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the paper's quantiles of the signed drift, as scikit-learn takes them: `np.percentile`, to the last bit.

    To the last bit because drifts come in steps: where one is a quantile to a hair, its
    equals are mapped elsewhere. From sorted values, as `np.percentile` takes seconds for so many.
    """
    n = len(drift)
    if n == 0:
        return np.empty(0)
    values = np.sort(drift if n <= QUANTILES else rng.choice(drift, QUANTILES, replace=False))
    place = np.linspace(0, 1, len(values)) * 100 / 100 * (len(values) - 1)
    before = np.floor(place).astype(np.int64)
    after = np.minimum(before + 1, len(values) - 1)
    part, apart = place - before, values[after] - values[before]
    found = np.where(part < 0.5, values[before] + apart * part, values[after] - apart * (1 - part))
    return np.asarray(found, np.float64)


def _scaling(mapped: NDArray[np.float64], method: Method) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is subtracted from each mapped column and what it is then divided by, shapes (13,)."""
    offset, scale = np.zeros(13), np.ones(13)
    if not len(mapped):
        return offset, scale
    least, largest = mapped.min(axis=0), mapped.max(axis=0)
    for place, name in enumerate(COLUMNS):
        if place == FREQUENCY or name in RAW:
            continue
        start, stop = least[place], largest[place]
        if method == "default":
            inner = np.quantile(mapped[:, place], OUTER)
            if inner[1] > inner[0]:  # else nearly all are equal: the few others span the range
                start, stop = inner
        elif place == DRIFT or name == "bandwidth_hz":
            start = 0.0
        offset[place] = start
        if name in ("time_std", "spectrum_std") and method == "paper":
            continue
        scale[place] = stop - start if stop != start else 1.0
    return offset, scale


def _matrix(features: pd.DataFrame) -> NDArray[np.float64]:
    """Return the features as an array, shape (n, 13), after checking them."""
    missing = [name for name in COLUMNS if name not in features]
    if missing:
        raise SurveyRefused("FEATURES", "features are missing", got=list(features), expected=missing)
    raw = features[list(COLUMNS)].to_numpy(np.float64, na_value=np.nan)
    bad = ~np.isfinite(raw)
    if bad.any():
        row, place = np.argwhere(bad)[0]
        hit = f"hit {features['hit_id'].iloc[row]}" if "hit_id" in features else f"row {row}"
        raise SurveyRefused(
            "FEATURES",
            f"{np.count_nonzero(bad.any(axis=1)):,} rows have a feature that is not finite",
            where=f"{hit}, {COLUMNS[place]}",
            got=raw[row, place],
            expected="finite numbers",
            todo="leave such rows out before",
        )
    return raw
