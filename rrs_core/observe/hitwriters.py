"""Write hits for other programs: turboSETI's `.dat` and FindEvent's CSV."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused
from rrs_core.observe.findevent_csv import COLUMNS
from rrs_core.observe.header import coarse_width_of
from rrs_core.survey.store import atomic
from rrs_core.text import safe_text, spreadsheet_safe

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.observe.hitfiles import HitHeader

RULE = "# --------------------------"
TEXTS = ("FileID", "Source", "Hit_ID", "status")  #: columns of text that a spreadsheet could take for a formula


def write_dat(path: Path, hits: pd.DataFrame, header: HitHeader) -> None:
    """Write hits as turboSETI 2.1 and later do: 12 columns, frequencies at the start of the scan.

    Frequencies keep 6 decimals (1 Hz), as the format has it. The uncorrected and the corrected frequency are
    equal and the SEFD columns are zero, as in turboSETI's own files.

    Parameters
    ----------
    path : Path
        Written atomically.
    hits : pandas.DataFrame
        frequency_mhz, drift_rate_hz_s, snr, coarse_channel and channel of the hits of one scan, in the order in
        which they are numbered; n_hits, the last column of the format, where it is there (else 1).
    header : HitHeader
        All of it but the coordinates must be known.

    Raises
    ------
    SettingsRefused
        HEADER, for header words that the format needs and that are not known; TABLE, for empty cells in the hits.
    """
    needed = ("file_id", "source_name", "tstart_mjd", "tsamp_s", "foff_mhz", "max_drift_rate_hz_s", "obs_length_s")
    missing = [name for name in needed if getattr(header, name) is None]
    foff_mhz, drift_limit, length_s = header.foff_mhz, header.max_drift_rate_hz_s, header.obs_length_s
    if missing or foff_mhz is None or drift_limit is None or length_s is None:
        raise SettingsRefused("HEADER", "a .dat table needs more than is known", where=path, expected=missing)
    columns = ["frequency_mhz", "drift_rate_hz_s", "snr", "coarse_channel", "channel"]
    if empty := [name for name in columns if name not in hits or hits[name].isna().any()]:
        raise SettingsRefused("TABLE", "a .dat table has no empty cells", where=path, got=empty)
    frequency = hits["frequency_mhz"].to_numpy(np.float64)
    channel = hits["channel"].to_numpy(np.int64)
    first, last = window(channel, drift_limit, length_s, coarse_width_of(foff_mhz))
    start, end = frequency + (first - channel) * foff_mhz, frequency + (last - channel) * foff_mhz
    counts = hits["n_hits"].to_numpy(np.int64) if "n_hits" in hits else np.ones(len(hits), np.int64)
    drift, snr = hits["drift_rate_hz_s"].to_numpy(np.float64), hits["snr"].to_numpy(np.float64)
    coarse = hits["coarse_channel"].to_numpy(np.int64)
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        out.write(_header_lines(header))
        for i in range(len(hits)):
            f = f"{frequency[i]:14.6f}\t"
            out.write(
                f"{i + 1:06d}\t{drift[i]:10.6f}\t{snr[i]:10.6f}\t{f}{f}{channel[i]}\t{start[i]:14.6f}\t{end[i]:14.6f}\t"
                f"0.0\t{0.0:14.6f}\t{coarse[i]}\t{counts[i]}\t\n"
            )


def window(
    channel: NDArray[np.int64], max_drift_rate_hz_s: float, obs_length_s: float, coarse_width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last channel of the window that turboSETI names around a hit, columns 7 and 8.

    Half its width is the largest drift over half the scan in Hz, taken for a number of channels. The first
    channel is rounded down and the last one left out, so the hit is not quite in the middle. This
    follows turboSETI's published Voyager table and files of the same age; the code of version 2.3
    takes twice the number of drift rates instead.

    Parameters
    ----------
    channel : ndarray of int, shape (n,)
        Channels in the coarse channel.
    max_drift_rate_hz_s, obs_length_s : float
        Largest drift searched [Hz/s], length of the scan [s].
    coarse_width : int
        Channels in a coarse channel; the window does not reach out of it.

    Returns
    -------
    (ndarray, ndarray), shape (n,)
    """
    half = max_drift_rate_hz_s * obs_length_s / 2
    first, last = channel + math.floor(-half), channel + math.floor(half)
    return np.maximum(0, first), np.minimum(np.maximum(coarse_width, channel + 1), last) - 1


def write_findevent_csv(path: Path, rows: pd.DataFrame) -> None:
    """Write rows as FindEvent does: a running index without a name, then its 23 columns.

    Numbers keep all their digits. Text is made safe for a terminal and a spreadsheet: control characters
    are dropped, a name that would be a formula gets a quotation mark before it.

    Parameters
    ----------
    path : Path
        Written atomically.
    rows : pandas.DataFrame
        Columns named as in `findevent_csv.COLUMNS`; other columns are left out.

    Raises
    ------
    SettingsRefused
        TABLE, for a column that is not there.
    """
    if missing := [name for name in COLUMNS if name not in rows]:
        raise SettingsRefused("TABLE", "columns are missing", where=path, got=list(rows), expected=missing)
    table = rows[list(COLUMNS)].reset_index(drop=True)
    for name in (*TEXTS, "RA", "DEC"):
        table[name] = [safe_text(cell) if isinstance(cell, str) else cell for cell in table[name]]
    table[list(TEXTS)] = spreadsheet_safe(table[list(TEXTS)])  # a declination may begin with a sign
    with atomic(path) as temporary:
        table.to_csv(temporary, lineterminator="\n")


def _header_lines(header: HitHeader) -> str:
    """Return the nine lines before the hits."""
    names = (
        "Top_Hit_# ", "Drift_Rate ", "SNR ", "Uncorrected_Frequency ", "Corrected_Frequency ", "Index ", "freq_start ",
        "freq_end ", "SEFD ", "SEFD_freq ", "Coarse_Channel_Number ", "Full_number_of_hits ",
    )  # fmt: skip
    ra, dec = (safe_text(text) if text else "n/a" for text in (header.ra_text, header.dec_text))
    lines = [
        "# -------------------------- o --------------------------",
        f"# File ID: {safe_text(header.file_id or '')} ",
        "# -------------------------- o --------------------------",
        f"# Source:{safe_text(header.source_name or '')}",
        f"# MJD: {header.tstart_mjd:18.12f}\tRA: {ra}\tDEC: {dec}",
        f"# DELTAT: {header.tsamp_s:10.6f}\tDELTAF(Hz): {(header.foff_mhz or 0.0) * 1e6:10.6f}"
        f"\tmax_drift_rate: {header.max_drift_rate_hz_s:10.6f}\tobs_length: {header.obs_length_s:10.6f}",
        RULE,
        f"# {chr(9).join(names)}\t",
        RULE,
    ]
    return "\n".join(lines) + "\n"
