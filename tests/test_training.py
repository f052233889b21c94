"""Training: the loss falls, a killed run ends as an undisturbed one, validation never sees a training scan."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from make_scans import write_scan
from safetensors.torch import load_file

from rrs_core import pipeline
from rrs_core.describe import checkpoints, encoders, pairs, training
from rrs_core.describe.pairs import PairSettings, draw_bank, kind_names, other_looks, views
from rrs_core.describe.training import ContrastiveTask, PaperTask, Sample, TrainSettings, fit, split_by_scan
from rrs_core.errors import RRSError, SettingsRefused
from rrs_core.stages import train
from rrs_core.stages.report import Silent
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TINY = encoders.ShiftInvariantSettings(filters=(4, 4, 6, 6), over_time=8, hidden=8, latent=4, kinds=kind_names())
TINY_VAE = encoders.VAESettings(filters=(2, 3, 4), dense=(8, 6), latent=4)
SETTINGS = TrainSettings(epochs=4, batch=8, bank=30, learning_rate=3e-3)


pytestmark = pytest.mark.usefixtures("one_thread", "small_sizes")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order: the same weights bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STEPS_PER_EPOCH", 3)
    monkeypatch.setattr(training, "WHITENING_VIEWS", 256)
    monkeypatch.setattr(training, "VALIDATION_PAIRS", 24)


def snippets(n: int, seed: int = 0) -> NDArray[np.float16]:
    rng = np.random.default_rng(seed)
    power = rng.gamma(100, 0.01, (n, 16, 256))
    for snippet in power:
        snippet[:, rng.integers(20, 230)] += rng.uniform(0.2, 3)
    return power.astype(np.float16)


def contrastive(settings: TrainSettings = SETTINGS, sample: Sample | None = None) -> ContrastiveTask:
    torch.manual_seed(1)
    return ContrastiveTask(encoders.ShiftInvariantEncoder(TINY), sample, settings, "cpu")


def paper(settings: TrainSettings = SETTINGS, n: int = 24) -> PaperTask:
    torch.manual_seed(1)
    sample = Sample(snippets(n), snippets(10, seed=1), np.arange(n))
    return PaperTask(encoders.BetaVAE(TINY_VAE), sample, settings, "cpu")


TASKS: dict[str, Callable[..., Any]] = {"default": contrastive, "paper": paper}


class Stopped(Exception):
    """What stands for a kill."""


def stop_after(epoch: int) -> Callable[[int, dict[str, float]], None]:
    def report(done: int, figures: dict[str, float]) -> None:
        if done == epoch:
            raise Stopped

    return report


# Fitting


@pytest.mark.parametrize("architecture", TASKS)
def test_the_loss_falls_and_the_model_is_there(architecture: str, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=15, patience=15, learning_rate=1e-2)
    told = fit(TASKS[architecture](settings), tmp_path / "m.safetensors", settings, trained_on="nothing much")
    losses = [row["train_loss"] for row in told["curve"]]
    assert len(losses) == 15
    assert np.mean(losses[-3:]) < 0.97 * np.mean(losses[:3])
    assert told["best_epoch"] == int(np.argmin([row["loss"] for row in told["curve"]]))
    encoder = checkpoints.load(tmp_path / "m.safetensors")
    assert encoder.architecture == architecture
    assert encoder.card["trained_on"] == "nothing much"
    assert encoder.card["training"]["best_epoch"] == told["best_epoch"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.safetensors"]


@pytest.mark.parametrize("architecture", TASKS)
@pytest.mark.parametrize("stop", [0, 2])
def test_a_killed_run_ends_as_an_undisturbed_one_bit_for_bit(architecture: str, stop: int, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    whole = fit(TASKS[architecture](), undisturbed, SETTINGS)
    with pytest.raises(Stopped):
        fit(TASKS[architecture](), killed, SETTINGS, report=stop_after(stop))
    assert not killed.exists()
    told: list[int] = []
    resumed = fit(TASKS[architecture](), killed, SETTINGS, report=lambda epoch, _: told.append(epoch))
    assert told == list(range(stop + 1, 4))
    assert killed.read_bytes() == undisturbed.read_bytes()
    for one, other in zip(whole["curve"], resumed["curve"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert len(list(tmp_path.iterdir())) == 4


def test_averaged_weights_are_half_way_and_a_killed_run_comes_to_the_same(tmp_path: Path) -> None:
    begun = {name: tensor.clone() for name, tensor in TASKS["paper"]().module.state_dict().items()}
    settings = dataclasses.replace(SETTINGS, averaged=True)
    fit(TASKS["paper"](), tmp_path / "best.safetensors", SETTINGS)
    fit(TASKS["paper"](), tmp_path / "mean.safetensors", settings)
    with pytest.raises(Stopped):
        fit(TASKS["paper"](), tmp_path / "killed.safetensors", settings, report=stop_after(2))
    fit(TASKS["paper"](), tmp_path / "killed.safetensors", settings)
    best, mean, killed = (load_file(tmp_path / f"{name}.safetensors") for name in ("best", "mean", "killed"))
    moved = 0
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (begun[name] + best[name]) / 2)
            moved += int(not torch.equal(tensor, best[name]))
        assert torch.equal(tensor, killed[name])
    assert moved > 5


def test_a_run_without_a_model_to_go_on_from_has_nothing_to_average(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="no model to average with"):
        train.run([], tmp_path / "m.safetensors", "paper", Silent(), epochs=1, averaged=True)


def test_a_run_that_is_killed_again_and_again_ends_the_same(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    fit(contrastive(), undisturbed, SETTINGS)
    for epoch in range(4):
        with pytest.raises(Stopped):
            fit(contrastive(), killed, SETTINGS, report=stop_after(epoch))
    fit(contrastive(), killed, SETTINGS)
    assert killed.read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize("change", ["settings", "card"])
def test_a_run_with_other_settings_starts_anew(change: str, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(Stopped):
        fit(paper(), out, SETTINGS, report=stop_after(1))
    settings = dataclasses.replace(SETTINGS, learning_rate=1e-4) if change == "settings" else SETTINGS
    card = {"trained_on": "another night"} if change == "card" else {}
    told: list[int] = []
    fit(paper(settings), out, settings, report=lambda epoch, _: told.append(epoch), **card)
    assert told == [0, 1, 2, 3]
    fit(paper(settings), tmp_path / "fresh.safetensors", settings, **card)
    assert out.read_bytes() == (tmp_path / "fresh.safetensors").read_bytes()


def test_a_damaged_state_is_left_behind(tmp_path: Path) -> None:
    out, fresh = tmp_path / "m.safetensors", tmp_path / "fresh.safetensors"
    with pytest.raises(Stopped):
        fit(paper(), out, SETTINGS, report=stop_after(1))
    (part,) = tmp_path.glob("*.part.safetensors")
    part.write_bytes(part.read_bytes()[:100])
    fit(paper(), out, SETTINGS)
    fit(paper(), fresh, SETTINGS)
    assert out.read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("architecture", TASKS)
def test_the_same_seed_gives_the_same_model_and_another_seed_another(architecture: str, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=1)
    other = dataclasses.replace(settings, seed=1)
    for name, own in (("a", settings), ("b", settings), ("c", other)):
        fit(TASKS[architecture](own), tmp_path / f"{name}.safetensors", own)
    first, again, third = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert first == again
    assert first != third


@dataclasses.dataclass
class Scripted:
    """A task whose validation losses are given."""

    valid: list[float]
    module: encoders.BetaVAE = dataclasses.field(default_factory=lambda: encoders.BetaVAE(TINY_VAE))
    seen: list[dict[str, torch.Tensor]] = dataclasses.field(default_factory=list)

    drawn: list[float] = dataclasses.field(default_factory=list)

    def losses(self, rng: np.random.Generator, epoch: int) -> Iterator[Callable[[], torch.Tensor]]:  # noqa: ARG002
        """Yield one step that shrinks the weights."""
        self.drawn.append(rng.random())
        yield lambda: sum((parameter.square().sum() for parameter in self.module.parameters()), torch.zeros(()))

    def validate(self) -> dict[str, float]:
        """Return the next given loss; remember the weights."""
        self.seen.append({name: tensor.clone() for name, tensor in self.module.state_dict().items()})
        return {"loss": self.valid[len(self.seen) - 1]}

    def finish(self, _: np.random.Generator) -> None:
        """Nothing is left to do."""


def test_training_stops_when_validation_stops_improving_and_keeps_the_best_weights(tmp_path: Path) -> None:
    task = Scripted([5.0, 4.0, 4.5, 3.0, 3.5, 3.2, 3.1, 1.0])
    settings = TrainSettings(epochs=20, patience=3, learning_rate=0.1)
    told = fit(task, tmp_path / "m.safetensors", settings)
    assert told["best_epoch"] == 3
    assert [row["loss"] for row in told["curve"]] == [5.0, 4.0, 4.5, 3.0, 3.5, 3.2, 3.1]
    kept = checkpoints.load(tmp_path / "m.safetensors").module.state_dict()
    for name, tensor in task.seen[3].items():
        assert torch.equal(kept[name], tensor), name
    assert not torch.equal(kept["mean.weight"], task.seen[6]["mean.weight"])


def test_every_epoch_draws_anew_and_again_the_same_after_a_kill(tmp_path: Path) -> None:
    whole, first, rest = (Scripted([4.0, 3.0, 2.0, 1.0]) for _ in range(3))
    settings = TrainSettings(epochs=4)
    fit(whole, tmp_path / "a.safetensors", settings)
    with pytest.raises(Stopped):
        fit(first, tmp_path / "b.safetensors", settings, report=stop_after(1))
    fit(rest, tmp_path / "b.safetensors", settings)
    assert len(set(whole.drawn)) == 4
    assert first.drawn + rest.drawn == whole.drawn


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_loss_that_is_no_number_is_refused_and_no_model_is_written(loss: float, tmp_path: Path) -> None:
    with pytest.raises(RRSError) as refused:
        fit(Scripted([loss]), tmp_path / "m.safetensors", TrainSettings(epochs=3))
    assert refused.value.code == "DIVERGED"
    assert not (tmp_path / "m.safetensors").exists()


def test_fewer_snippets_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RRSError) as refused:
        fit(paper(n=7), tmp_path / "m.safetensors", SETTINGS)
    assert refused.value.code == "TOO_FEW_SNIPPETS"


def test_the_card_is_json_with_the_settings_and_the_whole_curve(tmp_path: Path) -> None:
    fit(paper(), tmp_path / "m.safetensors", SETTINGS, seed=3)
    card = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert card["seed"] == 3
    assert card["training"]["settings"]["batch"] == 8
    assert [row["epoch"] for row in card["training"]["curve"]] == [0, 1, 2, 3]
    assert {"train_loss", "loss", "reconstruction", "kl", "squared_error"} <= set(card["training"]["curve"][0])


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey of three scans, without latents."""
    folder = tmp_path_factory.mktemp("night")
    for seed in (1, 2, 3):
        write_scan(folder / "scans" / f"s{seed}.h5", seed)
    for stage in ("ingest", "detect"):
        pipeline.build(folder / "survey", [folder / "scans"] if stage == "ingest" else [], Silent(), only=stage)
    return folder / "survey"


@pytest.mark.parametrize("architecture", TASKS)
def test_a_survey_is_trained_on_with_as_much_noise_as_signal(
    architecture: Any,  # noqa: ANN401 - a literal
    night: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "TrainSettings", functools.partial(TrainSettings, bank=40, batch=32))
    monkeypatch.setattr(train, "PAPER_BATCH", 4)
    report = Silent()
    network = TINY if architecture == "default" else TINY_VAE
    out = tmp_path / "m.safetensors"
    told = train.run([night], out, architecture, report, epochs=1, network=network)
    assert len(told["curve"]) == 1
    (counted,) = [note for note in report.notes if note.startswith("train: ")]
    hits, noise, scans = [int(word) for word in counted.split() if word.isdecimal()]
    assert scans == 3
    assert hits == 13
    assert noise >= hits
    encoder = checkpoints.load(out)
    assert encoder.card["trained_on"][0]["survey"] == "survey"
    again = train.run([night], out, architecture, Silent(), epochs=1, network=network, start=f"{out}")
    assert again["curve"][0]["train_loss"] != told["curve"][0]["train_loss"]
    assert checkpoints.load(out).card["started_from"] == f"{out}"


def test_training_from_another_architecture_is_refused(night: Path, tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "vae.safetensors", encoders.BetaVAE(TINY_VAE))
    with pytest.raises(RRSError) as refused:
        train.run(
            [night], tmp_path / "m.safetensors", "default", Silent(), epochs=1, start=f"{tmp_path / 'vae.safetensors'}"
        )
    assert refused.value.code == "MODEL"


# Validation


@pytest.mark.parametrize("n_scans", [2, 3, 5, 40])
def test_training_and_validation_never_share_a_scan(n_scans: int) -> None:
    rng = np.random.default_rng(n_scans)
    scan_id = rng.permutation(np.repeat(np.arange(n_scans) + 1, rng.integers(1, 9, n_scans)))
    marked = np.broadcast_to(scan_id[:, None, None], (len(scan_id), 16, 256)).astype(np.float16)
    sample = split_by_scan(marked, scan_id, np.random.default_rng(0))
    train, valid = set(np.unique(sample.train)), set(np.unique(sample.valid))
    assert not train & valid
    assert len(train) + len(valid) == n_scans
    assert len(valid) == max(1, round(0.2 * n_scans))
    assert len(sample.train) + len(sample.valid) == len(scan_id)
    again = split_by_scan(marked, scan_id, np.random.default_rng(0))
    np.testing.assert_array_equal(sample.valid, again.valid)


def test_one_scan_cannot_be_divided() -> None:
    with pytest.raises(RRSError) as refused:
        split_by_scan(snippets(5), np.ones(5, np.int64), np.random.default_rng(0))
    assert refused.value.code == "TOO_FEW_SCANS"


@pytest.mark.parametrize("architecture", TASKS)
def test_validation_repeats_and_changes_no_weights(architecture: str) -> None:
    task = TASKS[architecture]()
    task.module.eval()
    before = {name: tensor.clone() for name, tensor in task.module.state_dict().items()}
    with torch.inference_mode():
        first, again = task.validate(), task.validate()
    assert first == again
    assert all(np.isfinite(value) for value in first.values())
    for name, tensor in task.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_signals_of_validation_are_not_those_of_training() -> None:
    task = contrastive()
    assert len(task.bank) == 30
    assert len(task.held) == 24
    assert not any((held == drawn).all() for held in task.held.power for drawn in task.bank.power)


# Pairs


def test_views_are_positive_finite_power_of_the_right_shape_and_differ() -> None:
    bank = draw_bank(40, np.random.default_rng(0))
    chosen = np.arange(40)
    backgrounds = snippets(20)
    first = views(bank, chosen, np.random.default_rng(1), PairSettings(), backgrounds)
    again = views(bank, chosen, np.random.default_rng(1), PairSettings(), backgrounds)
    second = views(bank, chosen, np.random.default_rng(2), PairSettings(), backgrounds)
    assert first.shape == (40, 16, 256)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    assert all((one != other).any() for one, other in zip(first, second, strict=True))


def test_the_bank_holds_every_family_by_its_number() -> None:
    bank = draw_bank(300, np.random.default_rng(0))
    assert bank.kinds == kind_names()
    assert "technosignature" not in bank.kinds
    assert bank.kinds[-1] == "line"
    assert set(np.unique(bank.kind)) == set(range(len(bank.kinds) - 1))  # plain lines are drawn anew each time
    assert np.isfinite(bank.power).all()
    assert (bank.power.max(axis=(1, 2)) > 0).mean() > 0.95


def test_detections_are_held_back_by_whole_cadences_and_drawn_evenly_by_family() -> None:
    rng = np.random.default_rng(6)
    kind = np.repeat([0, 3, 1, 3], [700, 100, 150, 50])
    survey, cadence = rng.integers(0, 4, 1000), rng.integers(0, 8, 1000)
    every = pairs.Detections(np.arange(1000, dtype=np.float16)[:, None, None], kind, survey, cadence)
    learnt, held = every.divided(5)
    assert len(learnt.kind) + len(held.kind) == 1000
    assert not set(held.power[:, 0, 0].astype(int)) & set(learnt.power[:, 0, 0].astype(int))
    ours, theirs = (set(zip(one.survey.tolist(), one.cadence.tolist(), strict=True)) for one in (learnt, held))
    assert not ours & theirs  # a source is in all scans of its cadence
    assert len(theirs) / 32 == pytest.approx(1 / 5, abs=0.05)
    assert {number for _, number in ours} == set(range(8))  # no band is held back altogether
    assert set(held.kind) == {0, 1, 3}
    assert len(every.take(survey == 0).divided(5)[1].kind) > 0  # one survey alone can be divided too
    rows = learnt.draw(60_000, np.random.default_rng(0))
    counts = np.bincount(learnt.kind[rows], minlength=4) / 60_000
    assert counts == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3], abs=0.03)
    for family in (0, 1, 3):
        assert set(rows[learnt.kind[rows] == family]) == set(np.flatnonzero(learnt.kind == family))


def test_plain_lines_have_the_ranges_of_the_settings() -> None:
    settings = PairSettings()
    lines = pairs.draw_plain_lines(4000, np.random.default_rng(1), settings)
    assert np.abs(lines.drift_rate_hz_s).max() <= settings.line_drift_hz_s
    assert lines.drift_rate_hz_s.mean() == pytest.approx(0, abs=0.1)
    for values, (low, high) in ((lines.width_hz, settings.line_width_hz), (lines.snr, settings.line_snr)):
        assert low <= values.min() < 1.05 * low
        assert 0.95 * high < values.max() <= high
        assert np.median(values) == pytest.approx(np.sqrt(low * high), rel=0.05)


def test_views_of_a_line_share_it_and_say_where_it_is() -> None:
    lines = pairs.Lines(np.array([1.0, -0.5, 0.0]), np.array([20.0, 40.0, 8.0]), np.array([150.0, 150.0, 150.0]))
    backgrounds = snippets(20)
    for seed in range(3):
        power, middle = pairs.line_views(
            lines, np.random.default_rng(seed), PairSettings(line_on_noise=1.0), [backgrounds]
        )
        brightest = power[:, 7:9].sum(axis=1).argmax(axis=1)
        assert np.abs(brightest - middle).max() < 8
    one, _ = pairs.line_views(lines, np.random.default_rng(4), PairSettings(line_on_noise=0.0), [backgrounds])
    other, _ = pairs.line_views(lines, np.random.default_rng(4), PairSettings(line_on_noise=0.0))
    assert (one > 0).all()
    assert not np.allclose(one, other)


def test_lines_lie_on_every_ground_as_often() -> None:
    rng = np.random.default_rng(5)
    grounds = [rng.gamma(100, 0.01, (size, 16, 256)) for size in (7, 300)]
    for ground, row in zip(grounds, (3, 12), strict=True):
        ground[:, row] += 0.5  # five standard deviations: which one it was
    lines = pairs.draw_plain_lines(300, rng, PairSettings(line_snr=(1.0, 2.0)))
    power, _ = pairs.line_views(lines, rng, PairSettings(line_on_noise=0.2), grounds)
    excess = np.median(power, axis=2) - np.median(power, axis=(1, 2))[:, None]
    assert 0.7 < np.mean(excess.max(axis=1) > 0.2) < 0.9
    counts = np.bincount(excess.argmax(axis=1)[excess.max(axis=1) > 0.2], minlength=16)
    assert counts[3] + counts[12] == counts.sum()
    assert abs(counts[3] - counts[12]) <= 1


def test_lines_are_learnt_on_a_telescopes_snippets_and_some_are_held_back() -> None:
    telescope = np.random.default_rng(6).integers(0, 256, (10, 16, 256), dtype=np.uint8)
    module = encoders.build(encoders.ShiftInvariantSettings(kinds=pairs.kind_names(), line_latents=6))
    task = training.ContrastiveTask(module, None, training.TrainSettings(bank=20), "cpu", telescope=telescope)
    assert [len(ground) for ground in task.grounds] == [8]
    assert [len(ground) for ground in task.held_grounds] == [2]
    assert not any((task.grounds[0] == one).all(axis=(1, 2)).any() for one in task.held_grounds[0])


def test_a_telescopes_snippets_are_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    telescope = np.random.default_rng(7).integers(0, 256, (10, 16, 256), dtype=np.uint8)
    module = encoders.ShiftInvariantEncoder(encoders.ShiftInvariantSettings())
    task = training.ContrastiveTask(module, None, training.TrainSettings(bank=20), "cpu", telescope=telescope)
    given: list[NDArray[np.generic]] = []

    def looks(snippets: NDArray[np.generic], rng: np.random.Generator, settings: object) -> NDArray[np.float32]:
        given.append(snippets)
        return np.full(snippets.shape, -7, np.float32)

    monkeypatch.setattr(pairs, "other_looks", looks)
    drawn = task._draw(400, np.random.default_rng(8), task.bank, None, None)
    first, second = (np.all(view == -7, axis=(1, 2)) for view in np.split(drawn.power, 2))
    assert np.array_equal(first, second)
    assert 5 <= first.sum() <= 40  # one in twenty of 400
    assert np.all(drawn.kind[first] == pairs.UNLABELLED)
    learnt = telescope[np.arange(10) % training.HELD_BACK > 0]
    assert all((one[:, None] == learnt).all(axis=(2, 3)).any(axis=1).all() for one in given)


def test_a_telescopes_snippets_are_for_the_default_network_alone(tmp_path: Path) -> None:
    with pytest.raises(RRSError, match="only the default network"):
        train.run([], tmp_path / "m.safetensors", "paper", Silent(), epochs=1, telescope=tmp_path / "x.npy")


def test_a_full_disk_at_a_checkpoint_is_one_refusal_and_the_last_one_stays(tmp_path: Path) -> None:
    """The kernel's own limit on a file's size stands for a full disk."""
    import resource

    out = tmp_path / "m.safetensors"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept: list[bytes] = []

    def fill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 1:
            kept.append(training._parts(out)[0].read_bytes())
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))

    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(RRSError) as refused:
            fit(paper(), out, SETTINGS, report=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert refused.value.code == "DISK_FULL"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == kept
    told: list[int] = []
    fit(paper(), out, SETTINGS, report=lambda epoch, _: told.append(epoch))
    assert told == [2, 3]


def test_own_hits_are_seen_twice_slid_and_never_turned_round() -> None:
    given = np.ones((8, 16, 256), np.float16)
    given += np.random.default_rng(0).normal(0, 0.05, given.shape).astype(np.float16)
    rows = np.arange(16)
    given[:, rows, 100 + 4 * rows] = 40  # drifts upwards
    settings = PairSettings(eight_bit=0)
    first = other_looks(given, np.random.default_rng(1), settings)
    second = other_looks(given, np.random.default_rng(2), settings)
    assert first.shape == given.shape
    assert np.isfinite(first).all()
    for look in (*first, *second):
        track = look.argmax(axis=1)
        assert (np.diff(track) % 256 == 4).all()
    assert (first.argmax(axis=2)[:, 0] != second.argmax(axis=2)[:, 0]).any()


def test_a_dip_is_in_the_bank_and_darkens_its_view() -> None:
    rng = np.random.default_rng(0)
    bank = draw_bank(400, rng)
    dips = np.flatnonzero((bank.power.min(axis=(1, 2)) < -1) & (bank.power.max(axis=(1, 2)) < 1))
    assert len(dips) >= 2
    assert {bank.kinds[kind] for kind in bank.kind[dips]} == {"block"}
    plain = PairSettings(foreign=0, uneven_rows=0, eight_bit=0, dof=(204, 204), farthest_shift=0)
    dark = bank.power[dips][:, :, 256] < -1
    seen = views(bank, dips, np.random.default_rng(1), plain)
    assert seen.mean(axis=2)[dark].max() < 0.95
    assert (seen > 0).all()


@pytest.mark.parametrize(
    ("options", "filters", "latent", "beta"),
    [
        (["--variant", "code"], (32, 64, 64, 128, 128), 10, 8.0),
        (["--latent", "5", "--beta", "4"], (16, 32, 32, 32, 32), 5, 4.0),
    ],
)
def test_the_papers_network_is_chosen_on_the_command_line(
    options: list[str], filters: tuple[int, ...], latent: int, beta: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from rrs_core.cli import app

    seen: list[encoders.VAESettings] = []

    def run(*_: object, network: encoders.VAESettings, **__: object) -> dict[str, Any]:
        seen.append(network)
        return {"best_epoch": 0, "curve": [{}]}

    monkeypatch.setattr(train, "run", run)
    command = ["train", "S", "--out", "m.safetensors", "--architecture"]
    assert CliRunner().invoke(app, [*command, "paper", *options]).exit_code == 0
    assert [(n.filters, n.latent, n.beta) for n in seen] == [(filters, latent, beta)]
    refused = CliRunner().invoke(app, [*command, "default", *options])
    assert isinstance(refused.exception, RRSError)
    with pytest.raises(RRSError):
        train.paper_network("text", beta=-1.0)


def test_a_scan_that_detection_left_out_does_not_stop_training(night: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    dead = np.full((16, 4096), np.nan, np.float32)
    for seed in (1, 2):
        write_scan(folder / f"s{seed}.h5", seed)
    write_scan(folder / "s3.h5", 3, power=dead)
    for stage in ("ingest", "detect"):
        pipeline.build(tmp_path / "survey", [folder] if stage == "ingest" else [], Silent(), only=stage)
    noise, scan = train._noise([load(tmp_path / "survey")], 10, np.random.default_rng(0), Silent())
    assert len(noise) > 0
    assert set(scan) == {1, 2}


def hash_of(module: torch.nn.Module) -> str:
    """Everything that a module keeps, in short."""
    return hashlib.sha256(b"".join(x.numpy().tobytes() for x in module.state_dict().values())).hexdigest()


def reading(settings: TrainSettings) -> ContrastiveTask:
    torch.manual_seed(0)
    small = encoders.ShiftInvariantSettings(
        filters=(4, 4), time_strides=(1, 2), over_time=8, hidden=8, kinds=kind_names(), line_latents=6
    )
    module = encoders.build(small)
    assert isinstance(module, encoders.ShiftInvariantEncoder)
    return ContrastiveTask(module, None, settings, "cpu")


def test_in_the_first_epochs_only_the_line_reader_learns_and_no_epoch_of_them_is_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "STEPS_PER_EPOCH", 2)
    monkeypatch.setattr(training, "VALIDATION_PAIRS", 24)
    monkeypatch.setattr(training, "WHITENING_VIEWS", 256)
    settings = TrainSettings(epochs=4, batch=8, bank=20, lines_first=2, patience=1)
    task = reading(settings)
    before = {name: value.clone() for name, value in task.module.named_parameters()}
    changed: list[set[str]] = []
    readers: list[str] = []

    def look(epoch: int, _: dict[str, float]) -> None:
        now = task.module.named_parameters()
        changed.append({name.split(".")[0] for name, value in now if not torch.equal(value, before[name])})
        assert task.module.reader is not None
        readers.append(hash_of(task.module.reader))

    told = fit(task, tmp_path / "whole.safetensors", settings, report=look)
    assert changed[0] == changed[1] == {"reader"}
    assert {"convolutions", "head", "directions"} <= changed[2]
    assert readers[2] == readers[1]  # it stays as it is, its running means too
    assert told["best_epoch"] >= 2  # the loss of what has not been learnt yet stops nothing
    interrupted = reading(settings)

    class Killed(Exception):
        pass

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        fit(interrupted, tmp_path / "parts.safetensors", settings, report=kill)
    again = fit(reading(settings), tmp_path / "parts.safetensors", settings)
    losses = [[row["loss"] for row in one["curve"]] for one in (told, again)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
