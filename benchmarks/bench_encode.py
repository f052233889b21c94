"""Encoding against eager float32 torch: the same network as trained, called as a user would, in batches of 256."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.rows import Row, interleaved, row
from rrs_core.describe import checkpoints
from rrs_core.prove.retrieval import plant

N = 512
EAGER_BATCH = 256
GOAL = 3
ROUNDS = 9


def run() -> list[Row]:
    """Measure both shipped encoders; one thread, CPU time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    power = plant(N // 18 + 1, np.random.default_rng(1)).power[:N]
    rows = []
    for name in ("default", "paper"):
        encoder = checkpoints.load(name)
        module = encoder.module.to(memory_format=torch.contiguous_format)
        x = torch.from_numpy(encoder.seen(power)[:, None]).contiguous()

        def eager(module: torch.nn.Module = module, x: torch.Tensor = x) -> np.ndarray:
            with torch.inference_mode():
                return torch.cat([module(x[i : i + EAGER_BATCH]) for i in range(0, N, EAGER_BATCH)]).numpy()

        def ours(encoder: checkpoints.Encoder = encoder) -> np.ndarray:
            return encoder.encode(power)

        taken, reference = interleaved(ROUNDS, ours, eager)
        a, b = ours(), eager()
        cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        how = (
            f"{N / np.median(taken):.0f} against {N / np.median(reference):.0f} snippets/s/core, "
            "normalisation included in ours only; "
            f"cosine of the two results at least {cosine.min():.5f}"
        )
        rows.append(row(f"encoding, {name}", 1e3 * taken / N, 1e3 * reference / N, "ms", at_least=GOAL, how=how))
    torch.set_num_threads(threads)
    return rows
