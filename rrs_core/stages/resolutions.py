"""Scans of one resolution: features of others are not comparable, so they are not clustered together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def resolution_of(scans: pd.DataFrame) -> NDArray[np.object_]:
    """Return width of a channel and length of a spectrum of each scan in words: `2.79 Hz x 18.3 s`.

    Scans within 1 % of the first of a resolution have its words.
    """
    known: list[tuple[float, float, str]] = []
    words = []
    for foff, tsamp in zip(scans["foff_mhz"], scans["tsamp_s"], strict=True):
        width = abs(foff) * units.HZ_PER_MHZ
        alike = (text for hz, s, text in known if abs(width - hz) <= 0.01 * hz and abs(tsamp - s) <= 0.01 * s)
        if not (text := next(alike, "")):
            text = f"{width:.3g} Hz x {tsamp:.3g} s"
            known.append((width, tsamp, text))
        words.append(text)
    return np.array(words, object)


def commonest(scans: pd.DataFrame, hits: dict[int, int] | pd.Series[int]) -> tuple[NDArray[np.bool_], str]:
    """Tell which scans are of the resolution that most hits have, and what to say of the others, "" if nothing.

    Parameters
    ----------
    scans : DataFrame
        scan_id, foff_mhz [MHz], tsamp_s [s].
    hits : dict or Series of int
        How many hits each scan has, by scan_id; none where it is not there.
    """
    resolution = resolution_of(scans)
    each = scans["scan_id"].map(hits).fillna(0).to_numpy(np.int64)
    names, of_scan = np.unique(resolution, return_inverse=True)
    count = np.bincount(of_scan, each, len(names)).astype(np.int64)
    if not len(names):
        return np.zeros(0, bool), ""
    best = int(count.argmax())
    others = [f"{n:,} at {name}" for n, name in zip(count, names, strict=True) if n and name != names[best]]
    note = (
        f"RESOLUTIONS: only the {count[best]:,} hits at {names[best]} are clustered, not {', '.join(others)}: "
        "features of different resolutions do not compare; build a survey of their own"
    )
    return of_scan == best, note if others else ""
