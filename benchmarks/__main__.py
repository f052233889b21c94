"""`python -m benchmarks [NAME...]`: run all benchmarks, or some; print a table; write benchmarks/results.json."""

from __future__ import annotations

import importlib
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

NAMES = (
    "read", "energy", "drift", "features", "clusters", "encode", "search", "faiss", "lookalikes", "hits", "start",
    "explorer",
)  # fmt: skip
OUT = Path(__file__).parent / "results.json"


def main() -> None:
    """Run the benchmarks that are named, or all."""
    import dask
    from rich.console import Console
    from rich.table import Table

    dask.config.set({"logging.distributed": "critical"})  # workers that come and go are no news here
    chosen = sys.argv[1:] or list(NAMES)
    before = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    results = {name: before[name] for name in NAMES if name in before}
    table = Table("figure", "ours", "reference", "ratio", "quartiles", "goal", "met", title="rrs benchmarks")
    for name in chosen:
        rows = importlib.import_module(f"benchmarks.bench_{name}").run()
        if not rows:  # what it compares with is not installed
            continue
        results[name] = {
            "machine": f"{_processor()}, Python {platform.python_version()}",
            "rows": [asdict(row) for row in rows],
        }
        for row in rows:
            table.add_row(
                row.figure,
                f"{row.ours:.4g} {row.unit}",
                f"{row.reference:.4g} {row.unit}",
                f"{row.ratio:.3g}",
                "" if row.spread is None else "{:.3g} to {:.3g}".format(*row.spread),
                row.goal,
                "yes" if row.met else "NO",
            )
        OUT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    Console(width=150).print(table)


def _processor() -> str:
    """Return what is computed on, and with which instructions for bfloat16, where the system tells."""
    told = Path("/proc/cpuinfo")
    words = dict(
        line.split(":", 1) for line in (told.read_text() if told.is_file() else "").splitlines() if ":" in line
    )
    known = {name.strip(): text.strip() for name, text in words.items()}
    flags = sorted({"avx512_bf16", "amx_bf16"} & set(known.get("flags", "").split()))
    return ", ".join([platform.machine(), *filter(None, [known.get("model name", "")]), *flags])


if __name__ == "__main__":
    main()
