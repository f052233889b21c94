"""Fit the encoders: early stopping on whole scans held back, resumable after a kill.

One loop for all networks. The state after every epoch (weights, optimiser, the
random generator, what was measured) is written atomically beside the model, so a run
that is killed goes on from its last epoch and ends as an undisturbed one would.
"""

from __future__ import annotations

import ctypes
import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as bytes_of
from torch import Tensor

from rrs_core import config
from rrs_core.describe import checkpoints, encoders, linereader, pairs
from rrs_core.describe.snippets import normalise
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.simulate.lines import LINE
from rrs_core.survey.store import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

STEPS_PER_EPOCH = 200  #: of the contrastive training, which has no end of data
WHITENING_VIEWS = 8192
VALIDATION_PAIRS = 1024
VALIDATION_SNIPPETS = 4096
NEAR_LINE = np.array((0.12, 4.0))  #: how far off the tracks are that lines are read along in training: Hz/s, channels
HELD_BACK = 5  #: one in so many detections of each family is for validation

#: mallopt's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD (malloc.h), and how large
MALLOC_OPTIONS = ((-3, 2**30), (-1, 2**31 - 1), (-2, 2**28))


@dataclass(frozen=True)
class TrainSettings:
    """How long and how fast to train."""

    epochs: int = 60
    batch: int = 128
    learning_rate: float = 1e-3
    patience: int = 20  #: epochs without a better validation loss; 10 in the paper (section 2.5)
    temperature: float = 0.1
    kind_weight: float = 3.0  #: weight of telling families apart
    kind_scale: float = 16.0  #: of the cosines in that
    gate_weight: float = 3.0  #: weight of telling lines from all else
    lines_first: int = 0  #: epochs in which the default network learns to read lines; afterwards it learns the rest
    line_rate: float = 4e-3  #: learning rate of those epochs
    bank: int = 100_000  #: signals drawn for the contrastive pairs; 16 kB each
    seed: int = 0
    averaged: bool = False  #: end half way between the weights begun with and the best: see `fit`
    views: pairs.PairSettings = field(default_factory=pairs.PairSettings)


@dataclass(frozen=True)
class Sample:
    """Snippets of surveys, divided by whole scans: shapes (n, 16, 256), raw power."""

    train: NDArray[np.float16]
    valid: NDArray[np.float16]
    hits: NDArray[np.int64]  #: rows of `train` that are signals and not noise


class Task(Protocol):
    """What differs between the networks."""

    @property
    def module(self) -> encoders.Network:
        """The network."""

    def losses(self, rng: np.random.Generator, epoch: int) -> Iterator[Callable[[], Tensor]]:
        """Yield one closure a step: the loss of a batch."""

    def validate(self) -> dict[str, float]:
        """Return figures of the held-back scans; `loss` decides when to stop."""

    def finish(self, rng: np.random.Generator) -> None:
        """Do what is left when the weights are final."""


def split_by_scan(
    snippets: NDArray[np.float16],
    scan_id: NDArray[np.int64],
    rng: np.random.Generator,
    share: float = 0.2,
    *,
    is_hit: NDArray[np.bool_] | None = None,
) -> Sample:
    """Divide snippets into training and validation by whole scans.

    Random windows would leak: half of two neighbouring windows is the same. `is_hit`
    tells signals from windows of noise, shape (n,); None: all are signals.

    Raises
    ------
    SettingsRefused
        TOO_FEW_SCANS, with fewer than two scans.
    """
    scans = np.unique(scan_id)
    if len(scans) < 2:
        raise SettingsRefused(
            "TOO_FEW_SCANS",
            "validation holds back whole scans",
            got=f"{len(scans)} scan",
            expected="at least 2",
            todo="build the survey from more scans",
        )
    held = rng.permutation(scans)[: max(1, round(share * len(scans)))]
    back = np.isin(scan_id, held)
    hits = np.flatnonzero(np.ones(len(snippets), bool)[~back] if is_hit is None else is_hit[~back])
    return Sample(train=snippets[~back], valid=snippets[back], hits=hits)


class PaperTask:
    """β-VAE on energy-detected snippets and as many noise windows (sections 2.2 to 2.5)."""

    def __init__(self, module: encoders.BetaVAE, sample: Sample, settings: TrainSettings, device: str) -> None:
        self.module, self.settings, self.device = module, settings, device
        self.train, self.valid = sample.train, _validated(sample, settings)

    def losses(self, rng: np.random.Generator, epoch: int) -> Iterator[Callable[[], Tensor]]:  # noqa: ARG002
        """Yield the β-VAE loss of shuffled batches, one pass over the snippets."""
        for rows in _batches(len(self.train), self.settings.batch, rng):
            noise = rng.standard_normal((len(rows), self.module.settings.latent)).astype(np.float32)
            x = self._inputs(self.train[rows])
            yield partial(self._loss, x, torch.from_numpy(noise).to(x.device))

    def validate(self) -> dict[str, float]:
        """Return loss, its two parts, and the squared error per snippet on held-back scans."""
        sums = np.zeros(4)
        for start in range(0, len(self.valid), 256):
            x = self._inputs(self.valid[start : start + 256])
            mean, log_variance = self.module.moments(x)
            logits = self.module.decode_logits(mean)
            terms = encoders.vae_terms(logits, x, mean, log_variance, self.module.settings)
            error = (torch.sigmoid(logits.float()) - x).square().sum(dim=(1, 2, 3)).mean()
            sums += len(x) * np.array([*map(float, terms), float(error)])
        loss, reconstruction, divergence, error = sums / len(self.valid)
        return {"loss": loss, "reconstruction": reconstruction, "kl": divergence, "squared_error": error}

    def finish(self, rng: np.random.Generator) -> None:
        """Nothing is left to do."""

    def _loss(self, x: Tensor, noise: Tensor) -> Tensor:
        return encoders.vae_loss(self.module, x, noise)[0]

    def _inputs(self, snippets: NDArray[np.float16]) -> Tensor:
        return _network_inputs(snippets, "paper", self.device)


class AutoencoderTask:
    """The paper's autoencoder on the data of `PaperTask` (section 3.1: trained on the same data)."""

    def __init__(self, module: encoders.Autoencoder, sample: Sample, settings: TrainSettings, device: str) -> None:
        self.module, self.settings, self.device = module, settings, device
        self.train, self.valid = sample.train, _validated(sample, settings)

    def losses(self, rng: np.random.Generator, epoch: int) -> Iterator[Callable[[], Tensor]]:  # noqa: ARG002
        """Yield the squared error of shuffled batches, one pass over the snippets."""
        for rows in _batches(len(self.train), self.settings.batch, rng):
            yield partial(encoders.squared_error, self.module, self._inputs(self.train[rows]))

    def validate(self) -> dict[str, float]:
        """Return the squared error per snippet on held-back scans."""
        total = 0.0
        for start in range(0, len(self.valid), 256):
            x = self._inputs(self.valid[start : start + 256])
            total += len(x) * float(encoders.squared_error(self.module, x))
        return {"loss": total / len(self.valid), "squared_error": total / len(self.valid)}

    def finish(self, rng: np.random.Generator) -> None:
        """Nothing is left to do."""

    def _inputs(self, snippets: NDArray[np.float16]) -> Tensor:
        return _network_inputs(snippets, "autoencoder", self.device)


@dataclass(frozen=True)
class _Views:
    """Two views each of m signals, and what is known of them."""

    power: NDArray[np.float32]  #: shape (2 m, 16, 256): all first views, then all second ones
    kind: NDArray[np.int64]  #: shape (m,)
    line: NDArray[np.float32]  #: shape (2 m, 4): `linereader.parameters` and middle channel; NaN for what is no line


class ContrastiveTask:
    """The default encoder on pairs of views.

    A share are plain lines, drawn anew each time, whose drift, width and strength are read; a
    share are detections of simulated scans, whose family is known; the others are drawn
    from the simulator's families, on the survey's snippets as backgrounds. A few are the
    survey's own hits, and a few a telescope's, so that a morphology that no family has is learnt as a signal too.
    """

    def __init__(
        self,
        module: encoders.ShiftInvariantEncoder,
        sample: Sample | None,
        settings: TrainSettings,
        device: str,
        progress: Callable[[int], None] | None = None,
        *,
        detections: pairs.Detections | None = None,
        telescope: NDArray[np.generic] | None = None,
    ) -> None:
        """Draw the bank of signals.

        `telescope`, shape (m, 16, 256), raw power: snippets that are looked at twice, as the survey's own hits are, and
        that lines are drawn on as often as on the others.
        """
        self.module, self.settings, self.device = module, settings, device
        self.bank = pairs.draw_bank(settings.bank, np.random.default_rng([settings.seed, 1]), progress=progress)
        self.held = pairs.draw_bank(VALIDATION_PAIRS, np.random.default_rng([settings.seed, 2]))
        self.own = None if sample is None else sample.hits
        self.backgrounds = None if sample is None else sample.train
        self.held_backgrounds = None if sample is None else sample.valid
        self.detections: pairs.Detections | None = None
        self.held_detections: pairs.Detections | None = None
        if detections is not None:
            self.detections, self.held_detections = detections.divided(HELD_BACK)
        self.grounds = _grounds(self.backgrounds, self.detections)
        self.held_grounds = _grounds(self.held_backgrounds, self.held_detections)
        self.telescope = self.held_telescope = None
        if telescope is not None:
            back = np.arange(len(telescope)) % HELD_BACK == 0
            self.telescope, self.held_telescope = telescope[~back], telescope[back]
            self.grounds.append(self.telescope)
            self.held_grounds.append(self.held_telescope)

    def losses(self, rng: np.random.Generator, epoch: int) -> Iterator[Callable[[], Tensor]]:
        """Yield the loss of reading lines in the first epochs, then, the reader left as it is, that of fresh pairs."""
        reader = self.module.reader
        lines_alone = reader is not None and epoch < self.settings.lines_first
        if reader is not None:
            reader.requires_grad_(lines_alone).train(lines_alone)
        for _ in range(STEPS_PER_EPOCH):
            if reader is not None and lines_alone:
                drawn = self._draw_lines(2 * self.settings.batch, rng)
                line = torch.from_numpy(drawn.line).to(self.device)
                tracks = self._near(drawn.line[self.settings.batch :], rng)
                yield partial(linereader.line_loss, reader, self._inputs(drawn.power), line, tracks)
                continue
            drawn = self._draw(self.settings.batch, rng, self.bank, self.backgrounds, self.detections)
            kind = torch.from_numpy(drawn.kind).to(self.device)
            yield partial(self._loss, self._inputs(drawn.power), kind)

    def validate(self) -> dict[str, float]:
        """Return the loss of fixed pairs of unseen signals, how often a partner comes first, how wrong lines are."""
        rng = np.random.default_rng([self.settings.seed, 3])
        drawn = self._draw(VALIDATION_PAIRS, rng, self.held, self.held_backgrounds, self.held_detections)
        x = self._inputs(drawn.power)
        seen = [self.module.look(part) for part in torch.split(x, 256)]
        own = torch.cat([one.kind.float() for one in seen])
        embedded = torch.cat([self.module.embedded(one).float() for one in seen])
        kind, line = (torch.from_numpy(known).to(self.device) for known in (drawn.kind, drawn.line))
        both = kind.repeat(2)
        named = encoders.kind_loss(own, self.module.directions, both, scale=self.settings.kind_scale)
        first, second = embedded.chunk(2)
        paired = encoders.contrastive_loss(first, second, temperature=self.settings.temperature)
        unit = torch.nn.functional.normalize(embedded, dim=1)
        partner = (unit[: len(first)] @ unit[len(first) :].T).argmax(dim=1).cpu()
        directions = torch.nn.functional.normalize(self.module.directions, dim=1)
        guess = (torch.nn.functional.normalize(own, dim=1) @ directions.T).argmax(dim=1)
        figures = {
            "pair_loss": float(paired),
            "pair_first": float((partner == torch.arange(len(first))).float().mean()),
            "kind_right": float((guess == both)[both >= 0].float().mean()),
        }
        total = float(paired + self.settings.kind_weight * named)
        if seen[0].line is not None:
            logit = torch.cat([one.line.float() for one in seen if one.line is not None])
            total += self.settings.gate_weight * float(encoders.gate_loss(logit, both, self.module.settings.kinds))
            told, lines = encoders.gate_truth(both, self.module.settings.kinds)
            figures["gate_right"] = float(((logit > 0) == lines)[told].float().mean())
        known = ~line[:, 0].isnan()
        if seen[0].reading is not None and bool(known.any()):
            read = torch.cat([one.reading.parameters.float() for one in seen if one.reading is not None])
            wrong = (read - line[:, : linereader.READ])[known].abs()
            words = ("drift_wrong", "width_wrong", "snr_wrong")
            figures |= {word: float(value) for word, value in zip(words, wrong.median(dim=0).values, strict=True)}
        return {"loss": total, **figures}

    def finish(self, rng: np.random.Generator) -> None:
        """Set the whitening from fresh views."""
        batches, kinds = [], []
        for _ in range(WHITENING_VIEWS // 256):
            drawn = self._draw(128, rng, self.bank, self.backgrounds, self.detections)
            batches.append(self._inputs(drawn.power))
            kinds.append(torch.from_numpy(drawn.kind).repeat(2))
        self.module.eval()
        self.module.fit_whitening(batches, torch.cat(kinds).to(self.device))

    def _draw(
        self,
        m: int,
        rng: np.random.Generator,
        bank: pairs.Bank,
        backgrounds: NDArray[np.float16] | None,
        detections: pairs.Detections | None,
    ) -> _Views:
        """Draw two views each of m signals of all sorts."""
        views = self.settings.views
        sort = rng.random(m)
        chosen = rng.integers(0, len(bank), m)
        seen = [pairs.views(bank, chosen, rng, views, backgrounds) for _ in range(2)]
        kind = bank.kind[chosen]
        line = np.full((2, m, linereader.READ + 1), np.nan, np.float32)
        has_own = self.own is not None and len(self.own) > 0
        learnt = bank is self.bank
        telescope = self.telescope if learnt else self.held_telescope
        edges = np.cumsum([
            views.lines,
            views.detections * (detections is not None),
            views.own * has_own,
            views.telescope * (telescope is not None),
        ])  # fmt: skip
        plain, detected, own, real = (
            np.flatnonzero((sort >= low) & (sort < high)) for low, high in zip((0, *edges), edges, strict=False)
        )
        lines = pairs.draw_plain_lines(len(plain), rng, views)
        grounds = self.grounds if learnt else self.held_grounds
        for view in range(2):
            seen[view][plain], middle = pairs.line_views(lines, rng, views, grounds)
            line[view, plain, : linereader.READ] = linereader.parameters(
                lines.drift_rate_hz_s, lines.width_hz, lines.snr
            )
            line[view, plain, linereader.READ] = middle
        kind[plain] = bank.kinds.index(LINE)
        if detections is not None and len(detected):
            rows = detections.draw(len(detected), rng)
            self._look_again(seen, detected, detections.power[rows], rng)
            kind[detected] = detections.kind[rows]
        if self.own is not None and backgrounds is not None and len(own):
            hits = self.own if backgrounds is self.backgrounds else np.arange(len(backgrounds))
            self._look_again(seen, own, backgrounds[rng.choice(hits, len(own))], rng)
            kind[own] = pairs.UNLABELLED
        if telescope is not None and len(real):
            self._look_again(seen, real, telescope[rng.integers(0, len(telescope), len(real))], rng)
            kind[real] = pairs.UNLABELLED
        return _Views(np.concatenate(seen), kind, line.reshape(2 * m, -1))

    def _draw_lines(self, m: int, rng: np.random.Generator) -> _Views:
        """Draw one view each of m plain lines."""
        lines = pairs.draw_plain_lines(m, rng, self.settings.views)
        power, middle = pairs.line_views(lines, rng, self.settings.views, self.grounds)
        read = linereader.parameters(lines.drift_rate_hz_s, lines.width_hz, lines.snr)
        line = np.concatenate([read, middle[:, None]], axis=1).astype(np.float32)
        return _Views(power, np.full(m, self.bank.kinds.index(LINE)), line)

    def _look_again(
        self, seen: list[NDArray[np.float32]], rows: NDArray[np.int64], given: NDArray[np.generic],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        for view in seen:
            view[rows] = pairs.other_looks(given, rng, self.settings.views)

    def _near(self, line: NDArray[np.float32], rng: np.random.Generator) -> Tensor:
        """Return tracks near the true ones, drift [Hz/s] and middle channel: those that are found are a little off."""
        tracks = np.stack([linereader.DRIFT_UNIT_HZ_S * line[:, 0], line[:, linereader.READ]], axis=1)
        tracks += rng.normal(0, 1, tracks.shape) * NEAR_LINE
        return torch.from_numpy(tracks.astype(np.float32)).to(self.device)

    def _loss(self, x: Tensor, kinds: Tensor) -> Tensor:
        settings, seen = self.settings, self.module.look(x)
        named = encoders.kind_loss(seen.kind, self.module.directions, kinds.repeat(2), scale=settings.kind_scale)
        paired = encoders.contrastive_loss(*self.module.embedded(seen).chunk(2), temperature=settings.temperature)
        loss = paired + settings.kind_weight * named
        if seen.line is not None:
            loss = loss + settings.gate_weight * encoders.gate_loss(
                seen.line, kinds.repeat(2), self.module.settings.kinds
            )
        return loss

    def _inputs(self, power: NDArray[np.float32]) -> Tensor:
        return _network_inputs(power, "default", self.device)


def _grounds(snippets: NDArray[np.float16] | None, detections: pairs.Detections | None) -> list[NDArray[np.generic]]:
    """Return what lines are drawn on: detections where there are any, the surveys' own snippets otherwise."""
    given = snippets if detections is None else detections.power
    return [] if given is None else [given]


def _validated(sample: Sample, settings: TrainSettings) -> NDArray[np.float16]:
    """Return the held-back snippets that are looked at after every epoch, always the same."""
    some = np.random.default_rng([settings.seed, 3]).permutation(len(sample.valid))[:VALIDATION_SNIPPETS]
    return sample.valid[np.sort(some)]


def _batches(n: int, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of whole batches, one pass over n rows in random order."""
    order = rng.permutation(n)
    for start in range(0, n - batch + 1, batch):
        yield np.sort(order[start : start + batch])


def _network_inputs(snippets: NDArray[np.generic], architecture: encoders.Architecture, device: str) -> Tensor:
    """Return a network's input, shape (n, 1, 16, 256), channels last."""
    x = torch.from_numpy(normalise(snippets, encoders.NORMALISATION[architecture])[:, None]).to(device)
    return x.contiguous(memory_format=torch.channels_last)


def fit(
    task: Task,
    out: Path,
    settings: TrainSettings,
    *,
    report: Callable[[int, dict[str, float]], None] | None = None,
    **card: object,
) -> dict[str, Any]:
    """Train until the validation loss stops falling, then write the model to `out`.

    Fine-tuning on one kind of data costs some of what was learnt before from others. `averaged` weights, half way
    between those begun with and the best ones, keep most of both (Wortsman et al. 2022, arXiv:2109.01903).

    Parameters
    ----------
    task : Task
    out : Path
        Model to write, NAME.safetensors; NAME.json is its card. `NAME.part.safetensors`
        and `NAME.part.json` hold the state of an unfinished run.
    report : callable, optional
        Called after each epoch with its number and figures.
    card : object
        What else the model's card should say.

    Returns
    -------
    dict
        The training curve and the best epoch, as the card holds them.
    """
    module, device = task.module, next(task.module.parameters()).device
    keep_freed_memory()
    optimiser = torch.optim.Adam(module.parameters(), lr=settings.learning_rate)
    begun = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    state = _State.resume(out, module, optimiser, config.digest(asdict(settings), asdict(module.settings), card))
    bf16 = encoders.has_bfloat16(device.type)
    for epoch in range(state.epoch, settings.epochs):
        started = time.monotonic()
        module.train()
        rng = np.random.default_rng([settings.seed, 4, epoch])
        total, steps = 0.0, 0
        for step, loss_of in enumerate(_ahead(task.losses(rng, epoch))):
            _set_rate(optimiser, settings, epoch, step)
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = loss_of()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimiser.step()
            total, steps = total + loss.item(), steps + 1
        if steps == 0:
            raise SettingsRefused("TOO_FEW_SNIPPETS", "fewer snippets than one batch", expected=settings.batch)
        module.eval()
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            figures = {"train_loss": total / steps, **task.validate(), "seconds": time.monotonic() - started}
        if not np.isfinite(figures["loss"]):
            raise FileRefused(
                "DIVERGED",
                "the loss is not finite",
                where=out,
                got=figures["loss"],
                todo="train with a lower learning rate",
            )
        state.record(epoch, figures, module, settings.lines_first)
        state.write(out, module, optimiser)
        if report:
            report(epoch, figures)
        if epoch - state.best_epoch >= settings.patience:
            break
    module.load_state_dict(_half_way(begun, state.best) if settings.averaged else state.best)
    task.finish(np.random.default_rng([settings.seed, 5]))
    training = {"settings": asdict(settings), "best_epoch": state.best_epoch, "curve": state.curve}
    checkpoints.save(out, module, training=training, **card)
    for part in _parts(out):
        part.unlink(missing_ok=True)
    return training


def _half_way(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the means of weights; what is no number with a fraction (a count of batches) is the second's."""
    return {
        name: torch.lerp(one[name], tensor, 0.5) if tensor.is_floating_point() else tensor
        for name, tensor in other.items()
    }


@dataclass
class _State:
    """An unfinished run."""

    key: str
    epoch: int = 0
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)

    def record(self, epoch: int, figures: dict[str, float], module: torch.nn.Module, first: int = 0) -> None:
        """Note an epoch; the best is looked for from epoch `first` on, before that it is the last one."""
        rivals = [row["loss"] for row in self.curve if row["epoch"] >= first]
        if not rivals or figures["loss"] < min(rivals):
            self.best_epoch = epoch
            self.best = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        self.curve.append({"epoch": epoch, **figures})
        self.epoch = epoch + 1

    def write(self, out: Path, module: torch.nn.Module, optimiser: torch.optim.Adam) -> None:
        tensors = {f"now/{name}": tensor for name, tensor in module.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
            held = optimiser.state.get(parameter, {})  # nothing where it has not been trained yet
            tensors |= {f"adam/{index}/{name}": torch.as_tensor(value) for name, value in held.items()}
        weights, note = _parts(out)
        notes = {"key": self.key, "epoch": self.epoch, "best_epoch": self.best_epoch, "curve": self.curve}
        with atomic(weights) as temporary:  # state and note in one file, so that they cannot differ
            plain = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
            # Not `save_file`, whose error on a full disk is not an OSError.
            temporary.write_bytes(bytes_of(plain, metadata={"state": json.dumps(notes)}))
        note.unlink(missing_ok=True)

    @classmethod
    def resume(cls, out: Path, module: torch.nn.Module, optimiser: torch.optim.Adam, key: str) -> _State:
        from safetensors import SafetensorError, safe_open

        weights, _ = _parts(out)
        if not weights.is_file():
            return cls(key)
        try:
            with safe_open(weights, framework="pt") as handle:
                notes = json.loads(handle.metadata()["state"])
            tensors = load_file(weights)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            log.warning("the state of an earlier run cannot be read and is left behind: %s", error)
            return cls(key)
        if notes["key"] != key:
            log.warning("an earlier run at %s had other settings; starting anew", weights)
            return cls(key)
        module.load_state_dict({name[4:]: tensor for name, tensor in tensors.items() if name.startswith("now/")})
        for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
            if f"adam/{index}/step" in tensors:
                optimiser.state[parameter] = {
                    name: tensors[f"adam/{index}/{name}"].to(parameter.device if name != "step" else "cpu")
                    for name in ("step", "exp_avg", "exp_avg_sq")
                }
        best = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("best/")}
        log.info("continuing after epoch %d", notes["epoch"])
        return cls(key, notes["epoch"], notes["best_epoch"], best, notes["curve"])


def _ahead(items: Iterator[Callable[[], Tensor]]) -> Iterator[Callable[[], Tensor]]:
    """Yield the items in order while a thread prepares the next one: numpy makes a batch as torch uses the last."""
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = maker.submit(next, items, None)
            yield item


def keep_freed_memory() -> None:
    """Have glibc keep large freed blocks: a step frees and takes the same hundreds of MB, and page faults cost a fifth.

    Of this process alone; where the C library has no such switch nothing changes.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt"):
        return
    for option, size in MALLOC_OPTIONS:
        library.mallopt(option, size)


def _parts(out: Path) -> tuple[Path, Path]:
    return out.with_suffix(".part.safetensors"), out.with_suffix(".part.json")


def _set_rate(optimiser: torch.optim.Adam, settings: TrainSettings, epoch: int, step: int) -> None:
    """Fall along a cosine to a twentieth, in the epochs of lines alone and in those that follow; warm up before."""
    first = epoch < settings.lines_first
    begin, end = (0, settings.lines_first) if first else (settings.lines_first, settings.epochs)
    highest = settings.line_rate if first else settings.learning_rate
    rate = highest * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * (epoch - begin) / max(1, end - begin))))
    if epoch == begin:
        rate *= min(1.0, (step + 1) / 50)
    for group in optimiser.param_groups:
        group["lr"] = rate
