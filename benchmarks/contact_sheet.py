"""Contact sheet: real snippets beside simulated ones, drawn alike, to judge the families by eye.

    python benchmarks/contact_sheet.py OUT.png [--rows 24] [--seed 1] [--family NAME]

Real snippets come from the real-data folder (RRS_REAL_DATA, else ../shared/data
beside the checkout); without it the sheet has simulated columns only. Both kinds
passed the same energy threshold, 2048. Keep the picture outside the repository.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import normaltest

from rrs_core import units
from rrs_core.simulate import noise
from rrs_core.simulate.families import FAMILIES, draw
from rrs_core.simulate.sources import add_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZOOM_X, ZOOM_Y, GAP, LABEL = 2, 7, 6, 12
THRESHOLD = 2048.0  #: that of the real snippets (their README)
ROWS, COLUMNS = units.SNIPPET_TIMES, units.SNIPPET_CHANNELS


def real_snippets() -> NDArray[np.uint8] | None:
    """Return the real snippets (800, 16, 256), or None where the folder is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("RRS_REAL_DATA", default)) / "gbt_zooniverse_800x16x256_u8.npy"
    return np.load(path, allow_pickle=False) if path.is_file() else None


def simulate_snippet(names: list[str], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the power (16, 256) of one or more sources in noise, cut where an energy detector might."""
    steady, like = np.zeros((ROWS, COLUMNS), np.float32), np.zeros((ROWS, COLUMNS), np.float32)
    df = units.FINE_CHANNEL_HZ
    for name in names:
        source = draw(name, rng)
        shift = rng.uniform(-100.0, 100.0) * df
        span = source.extent_hz() or (0.0, 0.0)
        wide = span[1] - span[0] > 2 * COLUMNS * df
        centre = rng.uniform(*span) if wide else 0.5 * (span[0] + span[1]) + shift
        for power, kind in ((steady, False), (like, True)):
            add_power(power, source, first_hz=centre + df * COLUMNS / 2, step_hz=-df, noise_like=kind)
    return noise.observe_power(noise.draw_noise(rng, ROWS, COLUMNS), steady, like)


def loud_snippet(names: list[str], rng: np.random.Generator, tries: int = 30) -> NDArray[np.float32]:
    """Return a simulated snippet above the threshold of the real ones, or the last try."""
    for _ in range(tries):
        snippet = simulate_snippet(names, rng)
        if normaltest(snippet.ravel()).statistic >= THRESHOLD:
            break
    return snippet


def shade(snippet: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return 8-bit grey of asinh((x - median) / MAD / 3), after the real snippets' own 8-bit min-max."""
    x = snippet.astype(np.float64)
    x = np.rint(255.0 * (x - x.min()) / max(float(np.ptp(x)), 1e-9))
    middle = np.median(x)
    spread = 1.4826 * np.median(np.abs(x - middle)) + 1e-9
    grey = np.clip((np.arcsinh((x - middle) / (3.0 * spread)) + 1.0) / 5.0, 0.0, 1.0)
    return (255.0 * grey).astype(np.uint8).repeat(ZOOM_Y, axis=0).repeat(ZOOM_X, axis=1)


def sheet(columns: list[list[tuple[str, NDArray[np.generic]]]], path: Path) -> None:
    """Write columns of labelled snippets as one picture."""
    cell_y, cell_x = ROWS * ZOOM_Y + GAP + LABEL, COLUMNS * ZOOM_X + GAP
    image = Image.new("L", (cell_x * len(columns), cell_y * max(map(len, columns))), 110)
    pen = ImageDraw.Draw(image)
    for i, column in enumerate(columns):
        for j, (label, snippet) in enumerate(column):
            pen.text((i * cell_x + 2, j * cell_y), label, fill=255)
            image.paste(Image.fromarray(shade(snippet)), (i * cell_x, j * cell_y + LABEL))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", choices=list(FAMILIES), help="simulate this family only")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    names = [name for name, family in FAMILIES.items() if family.weight > 0]
    weights = np.array([FAMILIES[name].weight for name in names])
    real = real_snippets()
    columns: list[list[tuple[str, NDArray[np.generic]]]] = []
    for _ in range(2):
        if real is not None:
            chosen = rng.choice(len(real), args.rows, replace=False)
            columns.append([(f"real {i}", real[i]) for i in chosen])
        drawn = []
        for _ in range(args.rows):
            kinds = [args.family] if args.family else [str(rng.choice(names, p=weights / weights.sum()))]
            if not args.family and rng.random() < 0.4:  # the band is crowded: something else behind it
                kinds.append(str(rng.choice(["block", "comb", "cw", "adsb_dme"])))
            drawn.append(("simulated " + " + ".join(kinds), loud_snippet(kinds, rng)))
        columns.append(drawn)
    sheet(columns, args.out)
    print(f"{args.out}: {len(columns)} columns of {args.rows}")


if __name__ == "__main__":
    main()
