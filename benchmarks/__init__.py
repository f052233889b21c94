"""Measurements: each module has `run() -> list[Row]`; `python -m benchmarks` prints and keeps them all."""
