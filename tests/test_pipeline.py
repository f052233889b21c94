"""The build: each stage runs once, a killed build ends as an undisturbed one, one bad file stops nobody else."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pandas as pd
import pytest
from dask_cluster import scheduler, worker
from make_scans import COARSE, FCH1_MHZ, FOFF_MHZ, TONES, draw_sky, write_model, write_scan

import rrs_core
from rrs_core import ask, pipeline, units
from rrs_core.describe.snippets import normalise
from rrs_core.engine import Engine
from rrs_core.errors import RRSError
from rrs_core.observe.snippetfiles import read_snippet
from rrs_core.stages import detect, encode
from rrs_core.stages.report import Silent
from rrs_core.survey import store as store_module
from rrs_core.survey import tables
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

STAGES = ("ingest", "detect", "features", "encode", "cluster", "events", "project")
TABLES = (
    "scans", "hits", "features", "seeds", "latents", "clusters", "groups", "epochs", "superclusters", "importances",
    "events", "projection", "feature_projection",
)  # fmt: skip
OUTPUTS = ("snippets.npy", *(f"tables/{name}.parquet" for name in TABLES))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans with the same tones in different noise; not to be changed."""
    folder = tmp_path_factory.mktemp("scans")
    for seed in (1, 2, 3):
        write_scan(folder / f"s{seed}.h5", seed)
    return folder


def start(root: Path, paths: list[Path], model: Path, **options: object) -> list[RRSError]:
    """Ingest scans into a new survey that uses `model`."""
    refused = pipeline.build(root, paths, Silent(), only="ingest", **options)  # type: ignore[arg-type]
    change(root, 'model = "default"', f'model = "{model}"')
    return refused


def change(root: Path, before: str, after: str) -> None:
    """Edit survey.toml as a person would."""
    path = root / "survey.toml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def build(root: Path, *paths: Path, **options: object) -> list[str]:
    """Build and return what was told."""
    report = Silent()
    pipeline.build(root, list(paths), report, **options)  # type: ignore[arg-type]
    return report.notes


def contents(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in OUTPUTS}


def alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Tell whether vectors point the same way: in half precision the size of a batch shows in the fourth digit."""
    cosine = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return bool((cosine > 0.9999).all())


def ran(notes: list[str]) -> set[str]:
    """Return the stages that ran, from what was told."""
    return {note.split(":")[0] for note in notes if ": runs (" in note}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, scans: Path, model: Path) -> Path:
    """A finished survey of the three scans; not to be changed."""
    root = tmp_path_factory.mktemp("built") / "survey"
    start(root, [scans], model)
    assert ran(build(root, scans)) == set(STAGES) - {"ingest"}
    return root


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A finished survey of one's own."""
    return Path(shutil.copytree(built, tmp_path / "copied"))


# What a build makes


def test_a_built_survey_has_the_contracts_files_and_no_others(built: Path) -> None:
    files = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert files == {".lock", "survey.toml", *OUTPUTS, *(f"manifests/{stage}.json" for stage in STAGES)}


def test_tables_start_with_the_contracts_columns_in_their_kinds(built: Path) -> None:
    for name in TABLES:
        schema = tables.SCHEMAS[name]
        table = pd.read_parquet(built / "tables" / f"{name}.parquet")
        filled = ("scans", "hits", "latents", "projection")
        narrow = name not in filled  # no hit has 50 kHz of these scans on each side
        assert (len(table) == 0) == narrow
        assert list(table)[: len(schema)] == list(schema)
        for column, spec in schema.items():
            assert str(table[column].dtype) == spec.dtype, column


def test_every_tone_is_a_hit_at_its_frequency_in_every_scan(built: Path) -> None:
    hits = rrs_core.load(built).hits
    for scan_id, (channel, _, _) in itertools.product((1, 2, 3), TONES):
        own = hits[hits["scan_id"] == scan_id]
        away = (own["frequency_mhz"] - (FCH1_MHZ - channel * FOFF_MHZ)).abs().min()
        assert away <= 2 * FOFF_MHZ
    assert hits["hit_id"].is_unique
    assert (hits["hit_id"] // 10**10 == hits["scan_id"]).all()
    assert hits["hit_id"].is_monotonic_increasing


def test_row_i_of_the_snippets_belongs_to_the_hit_with_snippet_row_i(built: Path, scans: Path) -> None:
    """The stored snippet is what a cut of the scan at the hit's frequency gives, up to the bandpass."""
    survey = rrs_core.load(built)
    assert survey.hits["snippet_row"].tolist() == list(range(len(survey.hits)))
    assert survey.snippets.shape == (len(survey.hits), 16, 256)
    assert survey.snippets.dtype == np.float16
    coarse = 2**13
    for hit in survey.hits.itertuples():
        middle = FCH1_MHZ - (hit.coarse_channel * coarse + hit.snippet_channel) * FOFF_MHZ
        cut = read_snippet(scans / f"s{hit.scan_id}.h5", frequency_mhz=middle)
        stored = survey.snippets[hit.snippet_row].astype(np.float32)
        assert np.median(stored) == pytest.approx(1, abs=0.03)
        difference = normalise(cut.power, "robust") - normalise(stored, "robust")
        assert np.abs(difference).mean() < 0.02


def test_latents_are_the_models_of_the_snippets_in_the_order_of_hits(built: Path, model: Path) -> None:
    from rrs_core.describe import checkpoints

    survey = rrs_core.load(built)
    assert survey.latents["hit_id"].tolist() == survey.hits["hit_id"].tolist()
    scan = survey.hits["scan_id"].to_numpy()
    encoder = checkpoints.load(model)
    by_scan = [encoder.encode(survey.snippets[scan == number]) for number in (1, 2, 3)]  # as if each came by itself
    np.testing.assert_array_equal(survey.latent_matrix, np.concatenate(by_scan))
    assert [str(kind) for kind in survey.latents.dtypes] == ["int64", *["float32"] * 6]


def test_a_hit_finds_the_same_tone_in_other_scans_and_never_itself(built: Path) -> None:
    survey = rrs_core.load(built)
    for hit_id in survey.hits["hit_id"]:
        found = ask.lookalikes_of(built, hit=hit_id, top=100)
        assert hit_id not in found["hit_id"].tolist()
        assert found["hit_id"].is_unique
        near = survey.hits.set_index("hit_id").loc[found["hit_id"]]
        own = survey.hit(hit_id)
        assert not (
            (near["scan_id"] == own["scan_id"])
            & ((near["frequency_mhz"] - own["frequency_mhz"]).abs() < 256 * FOFF_MHZ)
        ).any()
        assert (np.diff(found["score"]) <= 0).all()


def test_a_snippet_of_the_survey_finds_its_own_hit_first(built: Path, tmp_path: Path) -> None:
    survey = rrs_core.load(built)
    np.save(tmp_path / "query.npy", 7 + 1e5 * survey.snippet(survey.hits["hit_id"].iloc[2]))
    found = ask.lookalikes_of(built, snippet=tmp_path / "query.npy", top=3)
    assert found["hit_id"].iloc[0] == survey.hits["hit_id"].iloc[2]
    assert found["score"].iloc[0] > 0.999


def test_the_same_scans_and_settings_give_the_same_bytes(built: Path, scans: Path, model: Path, tmp_path: Path) -> None:
    start(tmp_path / "again", [scans], model)
    build(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(built)


def test_the_order_in_which_scans_are_named_does_not_matter(
    built: Path, scans: Path, model: Path, tmp_path: Path
) -> None:
    start(tmp_path / "again", [scans / "s3.h5", scans / "s1.h5", scans / "s2.h5"], model)
    build(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(built)


def test_two_processes_give_the_bytes_of_one(built: Path, scans: Path, model: Path, tmp_path: Path) -> None:
    start(tmp_path / "again", [scans], model)
    build(tmp_path / "again", workers=2)
    assert contents(tmp_path / "again") == contents(built)


def test_the_command_line_builds_with_workers(built: Path, scans: Path, model: Path, tmp_path: Path) -> None:
    """Which lets SIGPIPE end it where one process does all: sockets of workers are closed under it."""
    start(tmp_path / "again", [scans], model)
    code = (
        "import signal, socket\nfrom rrs_core import cli, engine\nconnected = engine.Engine._connected\n"
        "def spoilt(self):\n client = connected(self)\n one, other = socket.socketpair()\n other.close()\n"
        " try:\n  one.send(b'x')\n except BrokenPipeError:\n  pass\n return client\n"
        "engine.Engine._connected = spoilt\nif __name__ == '__main__':\n cli.main()\n"
    )
    script = tmp_path / "command.py"
    script.write_text(code)
    command = [sys.executable, f"{script}", "build", f"{tmp_path / 'again'}", "--workers", "2"]
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[1]}"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(tmp_path / "again") == contents(built)


def test_a_cluster_gives_the_bytes_of_one_process(
    built: Path, scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers are in another folder than who calls them."""
    start(tmp_path / "again", [scans], model)
    with scheduler(tmp_path) as (address, _), worker(address, tmp_path), worker(address, tmp_path):
        monkeypatch.chdir(tmp_path)
        build(Path("again"), scheduler=address)
    assert contents(tmp_path / "again") == contents(built)


@pytest.mark.parametrize("kind", ["rising.h5", "falling.fil", "rising.fil"])
def test_the_same_sky_in_another_file_gives_the_same_hits_and_snippets(
    kind: str, built: Path, model: Path, tmp_path: Path
) -> None:
    """Reliability facts, case 55: both signs of foff, and both formats."""
    write_scan(tmp_path / "scans" / kind, 1, rising=kind.startswith("rising"))
    start(tmp_path / "survey", [tmp_path / "scans"], model)
    build(tmp_path / "survey")
    first, other = rrs_core.load(built), rrs_core.load(tmp_path / "survey")
    hits = first.hits[first.hits["scan_id"] == 1].sort_values("frequency_mhz")
    turned = other.hits.sort_values("frequency_mhz")
    assert len(turned) == len(hits) > 0
    np.testing.assert_allclose(turned["frequency_mhz"], hits["frequency_mhz"], atol=1.5 * FOFF_MHZ)
    for one, two in zip(hits["snippet_row"], turned["snippet_row"], strict=True):
        a, b = (normalise(survey.snippets[row], "robust") for survey, row in ((first, one), (other, two)))
        away = min(np.abs(a[:, 4:252] - b[:, 4 + slide : 252 + slide]).mean() for slide in (-1, 0, 1))
        assert away < 0.02  # the middle of an even number of channels may lie on either side


# What runs again


def test_a_second_build_skips_every_stage_says_so_and_writes_nothing(copied: Path, scans: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.name != ".lock"}
    notes = build(copied, scans)
    assert [note for note in notes if "skipped" in note] == [f"{stage}: up to date, skipped" for stage in STAGES]
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.name != ".lock"} == before


@pytest.mark.parametrize(
    ("before", "after", "stages"),
    [
        ("n_neighbors = 15", "n_neighbors = 16", {"project"}),
        ('method = "umap"', 'method = "pca"', {"project"}),
        ("threshold = 0.0", "threshold = 5000.0", set(STAGES) - {"ingest"}),
        ("max_drift_hz_s = 4.0", "max_drift_hz_s = 3.9", {"detect", "features", "events"}),  # the same hits come out
        ("epsilon = 0.18", "epsilon = 0.19", {"cluster"}),
        ("false_hits_per_coarse = 0.5", "false_hits_per_coarse = 0.50001", {"detect"}),  # the same hits come out
        ("seed = 0", "seed = 1", {"detect", "features", "cluster", "project"}),
    ],
)
def test_a_changed_setting_runs_only_the_stages_that_depend_on_it(
    before: str, after: str, stages: set[str], copied: Path
) -> None:
    change(copied, before, after)
    notes = build(copied)
    assert ran(notes) == stages
    for stage in stages & {"detect"}:
        assert f"{stage}: runs (settings changed)" in notes
    assert ran(build(copied)) == set()


def test_another_model_runs_encoding_and_the_map(copied: Path, tmp_path: Path, model: Path) -> None:
    change(copied, f"{model}", f"{write_model(tmp_path / 'other.safetensors', seed=1)}")
    before = contents(copied)
    assert ran(build(copied)) == {"encode", "cluster", "project"}
    assert contents(copied)["tables/latents.parquet"] != before["tables/latents.parquet"]


def test_a_models_path_counts_from_the_surveys_folder(
    copied: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy(model.with_suffix(suffix), copied / f"own{suffix}")
    change(copied, f"{model}", "own.safetensors")
    np.save(tmp_path / "query.npy", rrs_core.load(copied).snippets[0])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ran(build(copied)) == set()
    assert len(ask.lookalikes_of(copied, snippet=tmp_path / "query.npy", top=3)) == 3
    moved = copied.rename(tmp_path / "moved")
    monkeypatch.chdir(moved)
    assert ran(build(Path())) == set()
    assert len(ask.lookalikes_of(Path(), snippet=tmp_path / "query.npy", top=3)) == 3


def test_a_model_that_was_trained_again_is_noticed(built: Path, copied: Path, tmp_path: Path, model: Path) -> None:
    own = tmp_path / "own.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copy(model.with_suffix(suffix), own.with_suffix(suffix))
    change(copied, f"{model}", f"{own}")
    build(copied)
    assert contents(copied) == contents(built)  # the same weights at another place
    write_model(own, seed=2)
    np.save(tmp_path / "query.npy", rrs_core.load(copied).snippets[0])
    with pytest.raises(RRSError) as refused:
        ask.lookalikes_of(copied, snippet=tmp_path / "query.npy")
    assert refused.value.code == "MODEL_CHANGED"
    assert ran(build(copied)) == {"encode", "cluster", "project"}


def test_new_code_runs_its_stage_again(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "CODE", "encode-999")
    notes = build(copied)
    assert "encode: runs (code changed from encode-2 to encode-999)" in notes
    assert ran(notes) == {"encode"}


def test_a_new_scan_is_searched_alone_and_old_ids_stay(built: Path, copied: Path, tmp_path: Path) -> None:
    write_scan(tmp_path / "more" / "s0.h5", 0)  # earlier in time than all others
    notes = build(copied, tmp_path / "more")
    assert "detect: 3 of 4 scans were done before" in notes
    before, after = rrs_core.load(built), rrs_core.load(copied)
    assert after.scans["scan_id"].tolist() == [1, 2, 3, 4]
    assert after.scans["path"].iloc[3].endswith("s0.h5")
    pd.testing.assert_frame_equal(after.hits.iloc[: len(before.hits)], before.hits)
    np.testing.assert_array_equal(after.snippets[: len(before.hits)], before.snippets)
    assert (after.hits["scan_id"].iloc[len(before.hits) :] == 4).all()


def test_one_stage_alone_runs_alone(scans: Path, model: Path, tmp_path: Path) -> None:
    root = tmp_path / "survey"
    start(root, [scans], model)
    for stage in STAGES[1:]:
        assert ran(build(root, only=stage)) == {stage}
    assert ran(build(root, scans)) == set()


@pytest.mark.parametrize(("stage", "before"), [("encode", "detect"), ("project", "encode")])
def test_a_stage_before_its_turn_is_refused_and_told_which_comes_first(
    stage: str, before: str, scans: Path, model: Path, tmp_path: Path
) -> None:
    start(tmp_path / "survey", [scans / "s1.h5"], model)
    if stage == "project":
        build(tmp_path / "survey", only="detect")
    with pytest.raises(RRSError, match=f"rrs {before}") as refused:
        build(tmp_path / "survey", only=stage)
    assert refused.value.code == "STAGE_ORDER"


@pytest.mark.parametrize("change_to", [{"method": "paper"}, {"seed": 5}])
def test_an_old_survey_keeps_its_method_and_seed(change_to: dict[str, object], copied: Path, scans: Path) -> None:
    with pytest.raises(RRSError) as refused:
        build(copied, scans, **change_to)
    assert refused.value.code == "SETTINGS"


def test_the_papers_method_is_written_down_and_used(scans: Path, model: Path, tmp_path: Path) -> None:
    root = tmp_path / "survey"
    pipeline.build(root, [scans / "s1.h5"], Silent(), method="paper", only="ingest")
    change(root, 'model = "paper"', f'model = "{model}"')
    build(root)
    survey = rrs_core.load(root)
    assert survey.settings.method == survey.settings.detect.method == "paper"
    assert {f"{getattr(survey.settings, stage).method}" for stage in ("doppler", "features", "cluster", "events")} == {
        "paper"
    }
    energy = survey.hits[survey.hits["detector"] == "energy"]
    assert (energy["s_statistic"] > 512).all()
    assert (energy["channel"] % 128 == 0).all()  # windows stay where they are
    assert len(ask.lookalikes_of(root, hit=survey.hits["hit_id"].iloc[0], frequency_weight=0.1)) > 0


# Faults


class Killed(BaseException):
    """What stands for a kill: no part of the program expects it."""


def killed_at(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program die just before its `count`-th file gets its name; the temporary file is left behind."""
    left = itertools.count()
    replace = os.replace

    def dying(source: Path, target: Path) -> None:
        if next(left) == count:
            shutil.copy(source, Path(source).with_suffix(".left.tmp"))
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying)


@pytest.mark.parametrize("count", range(17))
def test_a_build_killed_at_any_rename_ends_as_an_undisturbed_one(
    count: int, built: Path, scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts, snippets, tables and manifests of three scans are seventeen renames (reliability facts, F1)."""
    root = tmp_path / "survey"
    start(root, [scans], model)
    with monkeypatch.context() as patched:
        killed_at(count, patched)
        with pytest.raises(Killed):
            build(root)
    notes = build(root)
    if 3 <= count < 9:
        assert f"detect: {count // 3} of 3 scans were done before" in notes
    assert contents(root) == contents(built)
    assert not list(root.rglob("*.tmp"))
    assert not (root / "work").exists()
    assert ran(build(root, scans)) == set()


def test_a_build_killed_in_ingest_starts_anew(built: Path, scans: Path, model: Path, tmp_path: Path) -> None:
    for count in range(3):
        root = tmp_path / f"survey{count}"
        with pytest.MonkeyPatch.context() as patched:
            killed_at(count, patched)
            with pytest.raises(Killed):
                build(root, scans, only="ingest")
        start(root, [scans], model)
        build(root)
        assert contents(root) == contents(built)


KILLED = """
import os, signal, sys
from pathlib import Path
from rrs_core.stages import detect
from rrs_core.survey import store
when, root = sys.argv[1], Path(sys.argv[2])
if when == "after the first scan":
    search = detect.detect_one
    def dying(job):
        if list(root.glob("work/detect/*.parquet")):
            os.kill(os.getpid(), signal.SIGKILL)
        return search(job)
    detect.detect_one = dying
else:
    def dying(path):
        if "snippets" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)
    store._sync = dying
from rrs_core.pipeline import build
from rrs_core.stages.report import Silent
build(root, [], Silent())
"""


@pytest.mark.parametrize("when", ["after the first scan", "while snippets are written"])
def test_a_killed_process_leaves_a_survey_that_is_finished_by_the_same_command(
    when: str, built: Path, scans: Path, model: Path, tmp_path: Path
) -> None:
    root = tmp_path / "survey"
    start(root, [scans], model)
    done = subprocess.run([sys.executable, "-c", KILLED, when, f"{root}"], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (root / "manifests" / "detect.json").exists()
    if when == "while snippets are written":
        assert list(root.rglob("*.tmp"))
    notes = build(root)
    finished = 1 if when == "after the first scan" else 3
    assert f"detect: {finished} of 3 scans were done before" in notes or finished == 3
    assert contents(root) == contents(built)
    assert not list(root.rglob("*.tmp"))


def test_an_interrupted_encoding_goes_on(built: Path, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "PART_ROWS", 5)
    (copied / "manifests" / "encode.json").unlink()
    with monkeypatch.context() as patched:
        killed_at(2, patched)
        with pytest.raises(Killed):
            build(copied)
    parts = list((copied / "work" / "encode").glob("*.npy"))
    assert len(parts) == 2
    known = sum(len(np.load(part, allow_pickle=False)) for part in parts)
    assert any(f"encode: {known} of" in note and "done before" in note for note in build(copied))
    assert alike(rrs_core.load(copied).latent_matrix, rrs_core.load(built).latent_matrix)
    assert not (copied / "work").exists()


def test_half_done_work_of_another_model_is_not_taken_over(
    copied: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rrs_core.describe import checkpoints

    monkeypatch.setattr(encode, "PART_ROWS", 5)
    (copied / "manifests" / "encode.json").unlink()
    with monkeypatch.context() as patched:
        killed_at(2, patched)
        with pytest.raises(Killed):
            build(copied)
    other = write_model(tmp_path / "other.safetensors", seed=1)
    change(copied, f"{model}", f"{other}")
    build(copied)
    survey = rrs_core.load(copied)
    assert alike(survey.latent_matrix, checkpoints.load(other).encode(survey.snippets))


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "swap"])
def test_a_damaged_output_is_made_anew(name: str, damage: str, built: Path, copied: Path, scans: Path) -> None:
    """Reliability facts, case 100 and F9."""
    path = copied / name
    if damage == "gone":
        path.unlink()
    elif damage == "swap":
        shutil.copy(copied / ("tables/hits.parquet" if "hits" not in name else "tables/latents.parquet"), path)
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    notes = build(copied, scans)
    stage = next(s for s in STAGES if name in (Store(copied).manifest(s) or {})["outputs"])
    assert stage in ran(notes)
    assert contents(copied) == contents(built)


@pytest.mark.parametrize(("name", "stage"), [("hits", "encode"), ("latents", "project"), ("scans", "detect")])
def test_a_stage_alone_does_not_work_on_damaged_inputs(name: str, stage: str, copied: Path) -> None:
    path = copied / "tables" / f"{name}.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(RRSError) as refused:
        build(copied, only=stage)
    assert refused.value.code == "DAMAGED"
    assert f"{name}.parquet" in f"{refused.value}"


def test_a_full_disk_is_one_refusal_and_the_next_build_goes_on(
    built: Path, scans: Path, model: Path, tmp_path: Path
) -> None:
    code = """
        import resource, signal, sys
        from pathlib import Path
        from rrs_core.errors import RRSError
        from rrs_core.pipeline import build
        from rrs_core.stages.report import Silent
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
        try:
            build(Path(sys.argv[1]), [], Silent())
        except RRSError as error:
            print(error.line())
    """
    root = tmp_path / "survey"
    start(root, [scans], model)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), f"{root}"], capture_output=True, text=True, check=False
    )
    if "not allowed to raise" in done.stderr:
        pytest.skip("the limit on the size of files cannot be set here")
    assert done.stdout.startswith("rrs: error: [DISK_FULL] "), done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert not list(root.rglob("*.tmp"))
    build(root)
    assert contents(root) == contents(built)


def test_ctrl_c_stops_the_search_and_keeps_what_was_done(
    built: Path, scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "survey"
    start(root, [scans], model)
    search, calls = detect.detect_one, itertools.count()

    def interrupted(job: detect.Job) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        search(job)

    with monkeypatch.context() as patched:
        patched.setattr(detect, "detect_one", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(root)
    assert "detect: 2 of 3 scans were done before" in build(root)
    assert contents(root) == contents(built)


@pytest.mark.parametrize("channels", [1, 2 * COARSE])
def test_coarse_channels_are_jobs_of_their_own_and_the_bytes_those_of_one_job(
    channels: int, built: Path, scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "survey"
    start(root, [scans], model)
    monkeypatch.setattr(detect, "JOB_CHANNELS", channels)
    search, jobs = detect.detect_one, []

    def interrupted(job: detect.Job) -> None:
        jobs.append((job.scan_id, job.coarse_channels))
        if len(jobs) == 4:
            raise KeyboardInterrupt
        search(job)

    with monkeypatch.context() as patched:
        patched.setattr(detect, "detect_one", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(root)
        of_scan = 4 if channels == 1 else 2
        assert jobs == [(1 + n // of_scan, range(4)[n % of_scan * (4 // of_scan) :][: 4 // of_scan]) for n in range(4)]
        build(root)
    done_before = 3 // of_scan
    assert len(jobs) == 4 + of_scan * 3 - 3
    assert jobs[4][0] == 1 + done_before
    assert contents(root) == contents(built)


def test_channels_that_no_job_can_use_are_told_of_once_and_a_scan_of_them_alone_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect, "JOB_CHANNELS", 1)
    power = draw_sky(1)
    power[:, COARSE : 3 * COARSE] = np.nan
    dead = np.full_like(power, np.nan)
    given = [write_scan(tmp_path / "scans" / f"s{n}.h5", n, power=one) for n, one in ((1, power), (2, dead))]
    start(tmp_path / "survey", given, model)
    report = Silent()
    (refused,) = pipeline.build(tmp_path / "survey", [], report)
    assert refused.code == "NO_FINITE"
    assert "s2.h5" in f"{refused}"
    (note,) = [note for note in report.notes if "hold no sample" in note]
    assert note.startswith("s1.h5: 2 of 4 coarse channels")
    dead_mhz = (Store(tmp_path / "survey").manifest("detect") or {})["dead_mhz"]
    assert {scan: len(bands) for scan, bands in dead_mhz.items()} == {"1": 2}


def test_a_clock_that_jumps_changes_nothing(copied: Path, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Currency is by bytes and settings, never by times of files or of the clock (reliability facts, F15)."""
    for path in copied.rglob("*"):
        os.utime(path, (0, 4e9))
    monkeypatch.setattr(store_module.time, "gmtime", lambda: (1970, 1, 1, 0, 0, 0, 3, 1, 0))
    assert ran(build(copied, scans)) == set()


# Bad files


def spoil(path: Path) -> None:
    """Flip bytes in the samples: the header stays good, the chunks do not."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data), 997):
        data[at] ^= 0xFF
    path.write_bytes(data)


def test_a_file_that_is_no_scan_is_refused_and_the_others_are_built(
    built: Path, scans: Path, model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(scans, tmp_path / "scans"))
    (folder / "a_text.h5").write_text("this is no scan")
    (folder / "z_empty.fil").touch()
    refused = start(tmp_path / "survey", [folder], model)
    assert sorted(error.code for error in refused) == ["EMPTY", "NOT_HDF5"]
    build(tmp_path / "survey")
    own, all_good = contents(tmp_path / "survey"), contents(built)
    for name in set(OUTPUTS) - {"tables/scans.parquet"}:
        assert own[name] == all_good[name]
    known = Store(tmp_path / "survey").manifest("ingest")
    assert known is not None
    assert len(known["refused"]) == 2


def test_a_scan_whose_samples_are_damaged_is_refused_and_the_others_are_built(
    scans: Path, model: Path, tmp_path: Path
) -> None:
    folder, root = tmp_path / "scans", tmp_path / "survey"
    for name in ("s1.h5", "s3.h5"):
        folder.mkdir(exist_ok=True)
        shutil.copy(scans / name, folder / name)
    nothing = np.full((16, 2**13), np.nan, np.float32)
    write_scan(folder / "s2.h5", 2, power=nothing)
    assert start(root, [folder], model) == []
    for _ in range(2):  # it is refused again with every build: nothing is passed over in silence
        report = Silent()
        refused = pipeline.build(root, [folder], report)
        assert [error.code for error in refused] == ["NO_FINITE"]
        assert refused[0].line() in report.notes
        survey = rrs_core.load(root)
        assert set(survey.hits["scan_id"]) == {1, 3}
        assert len(survey.latents) == len(survey.hits) == len(survey.snippets)
    assert "encode: up to date, skipped" in report.notes
    write_scan(folder / "s2.h5", 2)
    assert pipeline.build(root, [folder], Silent()) == []
    assert set(rrs_core.load(root).hits["scan_id"]) == {1, 2, 3}


def test_cadences_are_as_long_as_the_settings_say_and_interrupted_ones_are_told(model: Path, tmp_path: Path) -> None:
    folder, root = tmp_path / "scans", tmp_path / "survey"
    for place, name in enumerate("ABAC"):
        write_scan(folder / f"s{place}.h5", place, power=draw_sky(place, (), 4096), name=name)
    report = Silent()
    pipeline.build(root, [folder], report, only="ingest")
    told = [note for note in report.notes if note.startswith("INCOMPLETE")]
    assert len(told) == 1
    assert "4 scans (A, B, A, C)" in told[0]
    assert rrs_core.load(root).scans["cadence_id"].isna().all()
    change(root, "length = 6", "length = 4")
    notes = build(root, folder, only="ingest")
    assert "ingest: runs (cadences changed)" in notes
    assert not [note for note in notes if note.startswith("INCOMPLETE")]
    scans = rrs_core.load(root).scans
    assert scans["position"].tolist() == [0, 1, 2, 3]
    assert scans["on"].tolist() == [True, False, True, False]

    rows = "".join(f"1,{k},{str(k != 1).lower()},scans/s{k}.h5\n" for k in range(4))
    (tmp_path / "cadences.csv").write_text("cadence_id,position,on,path\n" + rows.replace("1,3,", "1,7,"))
    change(root, "length = 4", "length = 8")
    notes = build(root, folder, only="ingest", cadences=tmp_path / "cadences.csv")
    assert "INCOMPLETE: cadence 1 has 4 of 8 scans" in notes
    assert rrs_core.load(root).scans["position"].tolist() == [0, 1, 2, 7]


def test_a_cadence_of_different_number_formats_is_built_and_told(tmp_path: Path) -> None:
    # Case 84: the last OFF is of 8 bits
    folder, root = tmp_path / "scans", tmp_path / "survey"
    for place, name in enumerate("ABACAD"):
        power = draw_sky(place, (), 4096)
        scan = write_scan(folder / f"s{place}.fil", place, power=power, name=name)
    head = scan.read_bytes()[: -power.nbytes]
    word = b"nbits" + (32).to_bytes(4, "little")
    assert head.count(word) == 1
    scan.write_bytes(
        head.replace(word, b"nbits" + (8).to_bytes(4, "little")) + (power / 1e7).astype(np.uint8).tobytes()
    )
    report = Silent()
    pipeline.build(root, [folder], report, only="ingest")
    rows = "".join(f"1,{k},{str(k % 2 == 0).lower()},scans/s{k}.fil\n" for k in range(6))
    (tmp_path / "cadences.csv").write_text("cadence_id,position,on,path\n" + rows)
    told = [
        note for note in build(root, folder, only="ingest", cadences=tmp_path / "cadences.csv") if "FORMATS" in note
    ]
    assert len(told) == 1
    assert told[0].startswith("FORMATS: cadence 1 has scans of [8, 32] bits")
    assert rrs_core.load(root).scans["n_bits"].tolist() == [32] * 5 + [8]


#: Lines of an ON target: in the second and in the third coarse channel of four
TARGET = ((10_000, 0.5, 2.0), (20_000, 0.5, 2.0))


@pytest.mark.parametrize("method", ["default", "paper"])
def test_an_off_scan_that_was_not_searched_is_not_a_clean_one(method: str, model: Path, tmp_path: Path) -> None:
    """A dead coarse channel of an OFF scan takes the candidates there; a dead scan takes the cadence."""
    folder, root = tmp_path / "scans", tmp_path / "survey"
    per_scan = 0.004 * units.DAY_S / units.SPECTRUM_S  # spectra from one start to the next
    for place in range(6):
        tones = [(round(c + drift * per_scan * place), drift, level) for c, drift, level in TARGET]
        power = draw_sky(60 + place, tuple(tones) if place % 2 == 0 else ())
        if place == 3:
            power[:, 2 * 2**13 : 3 * 2**13] = np.nan
        write_scan(folder / f"s{place}.h5", place, power=power, name="A" if place % 2 == 0 else f"B{place}")
    start(root, [folder], model)
    change(root, '[events]\nmethod = "default"', f'[events]\nmethod = "{method}"')
    report = Silent()
    pipeline.build(root, [], report)
    assert any("1 of 4 coarse channels hold no sample that can be used" in note for note in report.notes)
    survey = rrs_core.load(root)
    events = survey.events
    channel = ((FCH1_MHZ - events["frequency_mhz"]) / FOFF_MHZ).round()
    verdict = {name: set(events["verdict"][(channel - name).abs() < 40]) for name, _, _ in TARGET}
    assert "event" in verdict[10_000]
    assert verdict[20_000] == {"rejected"}
    reason = " ".join(events["reason"][(channel - 20_000).abs() < 40])
    assert "the OFF scan at position 3 (B3) was not searched there" in reason
    assert ran(build(root)) == set()

    write_scan(folder / "s5.h5", 5, power=np.full((16, 2**15), np.nan, np.float32), name="B5")
    notes = build(root, folder)
    assert "events: cadence 1 is not scored: position 5 was not searched" in notes
    assert rrs_core.load(root).events.empty


def test_corrupt_chunks_are_refused(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = Path(shutil.copytree(scans, tmp_path / "scans")), tmp_path / "survey"
    spoil(folder / "s2.h5")
    try:
        refused = start(root, [folder], model)
    except RRSError as error:  # the header itself may be hit
        refused = [error]
    refused += pipeline.build(root, [], Silent())
    assert len(refused) == 1
    assert "s2.h5" in f"{refused[0]}"
    assert set(rrs_core.load(root).hits["scan_id"]) >= {1}


def test_only_bad_files_are_a_refusal_and_leave_no_survey(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        (tmp_path / name).write_text(f"no scan {name}")
    report = Silent()
    with pytest.raises(RRSError) as refused:
        pipeline.build(tmp_path / "survey", [tmp_path / "a.h5", tmp_path / "b.h5"], report)
    told = [*report.notes, refused.value.line()]
    assert len(told) == len(set(told)) == 2  # each file once
    assert not Store(tmp_path / "survey").exists()


@pytest.mark.parametrize(("paths", "code"), [(["absent.h5"], "NOT_FOUND"), (["folder"], "NO_FILES")])
def test_paths_without_scans_are_refused(paths: list[str], code: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RRSError) as refused:
        build(tmp_path / "survey", *(tmp_path / path for path in paths))
    assert refused.value.code == code


def own_scans(tmp_path: Path, scans: Path, model: Path) -> tuple[Path, Path]:
    """Return scans of one's own and a survey of them that has only been ingested."""
    folder = Path(shutil.copytree(scans, tmp_path / "scans"))
    start(tmp_path / "survey", [folder], model)
    return folder, tmp_path / "survey"


def test_a_scan_that_changed_after_it_was_ingested_is_refused(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    write_scan(folder / "s2.h5", 77)
    with pytest.raises(RRSError, match=r"s2\.h5") as refused:
        build(root)
    assert refused.value.code == "CHANGED"
    notes = build(root, folder)  # naming it again takes it as it is now
    assert "detect" in ran(notes)
    assert rrs_core.load(root).scans["scan_id"].tolist() == [1, 2, 3]


def test_a_scan_that_is_gone_is_refused_and_hits_of_before_stay(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    build(root)
    before = contents(root)
    (folder / "s2.h5").unlink()
    assert ran(build(root)) == set()  # nothing needs it
    change(root, "threshold = 0.0", "threshold = 600.0")
    with pytest.raises(RRSError, match=r"s2\.h5") as refused:
        build(root)
    assert refused.value.code == "NOT_FOUND"
    assert contents(root) == before


def test_a_scan_that_moved_keeps_its_number_and_its_hits(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    build(root)
    ids = rrs_core.load(root).hits["hit_id"].tolist()
    moved = folder.rename(tmp_path / "moved")
    notes = build(root, moved)
    assert sum("has moved from" in note for note in notes) == 3
    assert ran(notes) == {"ingest"}
    survey = rrs_core.load(root)
    assert [Path(path).parent for path in survey.scans["path"]] == [moved] * 3
    assert survey.hits["hit_id"].tolist() == ids


def test_the_same_file_named_twice_is_one_scan(scans: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to(scans / "s1.h5")
    start(tmp_path / "survey", [scans / "s1.h5", scans / "s1.h5", tmp_path / "link.h5", scans], model)
    assert len(Store(tmp_path / "survey").read_table("scans")) == 3


def test_a_copy_of_a_scan_is_left_out_and_named(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    shutil.copy(folder / "s1.h5", folder / "a_copy.h5")
    notes = build(root, folder)
    assert "a_copy.h5: the same bytes as s1.h5; left out" in notes
    assert rrs_core.load(root).scans["path"].map(lambda path: Path(path).name).tolist() == ["s1.h5", "s2.h5", "s3.h5"]


def test_two_scans_that_swapped_their_names_are_both_taken(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    (folder / "s1.h5").rename(folder / "x")
    (folder / "s2.h5").rename(folder / "s1.h5")
    (folder / "x").rename(folder / "s2.h5")
    build(root, folder)
    survey = rrs_core.load(root)
    assert survey.scans["source_name"].tolist() == ["HIP2", "HIP1", "HIP3"]


# Other kinds of input


def test_a_survey_without_hits_is_a_survey(model: Path, tmp_path: Path) -> None:
    write_scan(tmp_path / "quiet.h5", 5, power=draw_sky(5, tones=()))
    start(tmp_path / "survey", [tmp_path / "quiet.h5"], model)
    build(tmp_path / "survey")
    survey = rrs_core.load(tmp_path / "survey")
    assert survey.hits.empty
    assert list(survey.hits)[: len(tables.HITS)] == list(tables.HITS)
    assert survey.snippets.shape == (0, 16, 256)
    assert survey.latents.empty
    np.save(tmp_path / "query.npy", draw_sky(1)[:, :256])
    assert ask.lookalikes_of(tmp_path / "survey", snippet=tmp_path / "query.npy").empty
    assert ran(build(tmp_path / "survey", tmp_path / "quiet.h5")) == set()


@pytest.mark.parametrize("rising", [False, True])
def test_a_scan_narrower_than_a_snippet_is_widened_with_noise_and_says_so(
    rising: bool, model: Path, tmp_path: Path
) -> None:
    power = draw_sky(6, ((57, 0.0, 3.0),), 115)
    write_scan(tmp_path / "stamp.h5", 6, power=power, rising=rising)
    start(tmp_path / "survey", [tmp_path / "stamp.h5"], model)
    notes = build(tmp_path / "survey")
    survey = rrs_core.load(tmp_path / "survey")
    assert any("narrower than a snippet" in note for note in notes)
    assert survey.hits["detector"].tolist() == ["energy", "doppler"]
    for row in (0, 1):
        snippet = survey.snippets[row].astype(np.float32)
        assert snippet.mean(axis=0).argmax() == 128
        assert survey.hits["frequency_mhz"].iloc[row] == pytest.approx(FCH1_MHZ - 57 * FOFF_MHZ, abs=1e-9)


def test_an_array_of_snippets_is_a_scan_without_frequencies(model: Path, tmp_path: Path) -> None:
    stack = np.stack([draw_sky(seed, ((128, 0.0, 2.0),), 256) for seed in range(4)]) * np.float32(1e-20)
    np.save(tmp_path / "stack.npy", stack)
    start(tmp_path / "survey", [tmp_path / "stack.npy"], model)
    build(tmp_path / "survey")
    survey = rrs_core.load(tmp_path / "survey")
    assert len(survey.hits) == 4
    assert survey.hits["frequency_mhz"].isna().all()
    for row, given in zip(survey.snippets, stack, strict=True):
        np.testing.assert_allclose(normalise(row, "robust"), normalise(given, "robust"), atol=0.02)
    found = ask.lookalikes_of(tmp_path / "survey", hit=survey.hits["hit_id"].iloc[1])
    assert len(found) == 3


def cadence_table(folder: Path, rows: list[tuple[int, int, str, str]]) -> Path:
    lines = ["cadence_id,position,on,path", *(",".join(map(str, row)) for row in rows)]
    path = folder / "cadences.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def places(survey: Survey) -> list[tuple[object, object, object]]:
    columns = survey.scans[["cadence_id", "position", "on"]].astype("object")
    return [tuple(None if pd.isna(cell) else cell for cell in row) for row in columns.to_numpy()]


def test_cadences_beside_the_scans_are_read(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    build(root, folder)
    assert places(rrs_core.load(root)) == [(None, None, None)] * 3
    cadence_table(folder, [(8, 0, "true", "s1.h5"), (8, 1, "false", "s2.h5")])
    notes = build(root, folder)
    assert "ingest: runs (cadences changed)" in notes
    assert ran(notes) == {"ingest", "cluster", "events"}  # hits do not depend on it
    assert places(rrs_core.load(root)) == [(1, 0, True), (1, 1, False), (None, None, None)]


def test_cadences_of_a_later_table_get_numbers_of_their_own(scans: Path, model: Path, tmp_path: Path) -> None:
    _, root = own_scans(tmp_path, scans, model)
    first = cadence_table(tmp_path, [(1, 0, "1", "scans/s1.h5"), (1, 1, "0", "scans/s2.h5")])
    build(root, tmp_path / "scans", cadences=first, only="ingest")
    later = cadence_table(tmp_path / "scans", [(1, 0, "1", "s3.h5")]).rename(tmp_path / "scans" / "later.csv")
    build(root, tmp_path / "scans" / "s3.h5", cadences=later, only="ingest")
    assert places(rrs_core.load(root)) == [(1, 0, True), (1, 1, False), (2, 0, True)]


def test_tables_that_were_given_before_are_not_forgotten(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    first = cadence_table(tmp_path, [(1, 0, "1", "scans/s1.h5"), (1, 1, "0", "scans/s2.h5")])
    build(root, folder, cadences=first, only="ingest")
    assert ran(build(root, folder, only="ingest")) == set()
    later = first.rename(tmp_path / "later.csv")
    with pytest.raises(RRSError) as refused:
        build(root, folder, only="ingest")
    assert refused.value.code == "CADENCES"
    assert "cadences.csv" in f"{refused.value}"
    shutil.copy(later, first)
    later.write_text(later.read_text(encoding="utf-8").replace("s2.h5", "s3.h5"), encoding="utf-8")
    assert ran(build(root, folder, cadences=later, only="ingest")) == {"ingest"}
    assert places(rrs_core.load(root)) == [(1, 0, True), (2, 1, False), (1, 1, False)]
    assert ran(build(root, folder, only="ingest")) == set()


def test_a_table_that_names_none_of_the_scans_is_refused(scans: Path, model: Path, tmp_path: Path) -> None:
    _, root = own_scans(tmp_path, scans, model)
    table = cadence_table(tmp_path, [(1, 0, "1", "other/s1.h5")])
    with pytest.raises(RRSError) as refused:
        build(root, tmp_path / "scans", cadences=table)
    assert refused.value.code == "CADENCES"


def test_a_bug_in_a_stage_stays_a_bug(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    (copied / "manifests" / "encode.json").unlink()
    monkeypatch.setattr(encode, "run", broken)
    with pytest.raises(ZeroDivisionError):
        build(copied)
    with Store(copied).lock():
        pass


def test_a_bad_scan_does_not_take_the_workers_with_it(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    dead = np.full((16, 4096), np.nan, np.float32)
    start(tmp_path / "with-dead", [write_scan(folder / "s9.h5", 9, power=dead), folder], model)
    report = Silent()
    refused = pipeline.build(tmp_path / "with-dead", [], report, workers=2)
    assert [error.code for error in refused] == ["NO_FINITE"]
    assert set(rrs_core.load(tmp_path / "with-dead").hits["scan_id"]) == {1, 2, 3}
    notes = build(tmp_path / "with-dead", workers=2)
    assert ran(notes) == set()  # the bad scan is not searched again
    assert any("NO_FINITE" in note for note in notes)
    build(root)
    assert len(rrs_core.load(root).hits) == len(rrs_core.load(tmp_path / "with-dead").hits)


def test_a_scan_that_every_worker_dies_of_is_named_and_searched_again_by_the_next_build(
    built: Path, scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Losing(Engine):
        def each(self, work: Any, jobs: Any, *, lost: Any = None) -> Any:  # noqa: ANN401
            for job in jobs:
                yield job, lost(job) if getattr(job, "scan_id", 0) == 2 and lost else work(job)

    root = tmp_path / "survey"
    start(root, [scans], model)
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "Engine", Losing)
        (refused,) = pipeline.build(root, [], Silent())
    assert refused.code == "WORKER_LOST"
    assert "s2.h5" in f"{refused}"
    assert set(rrs_core.load(root).hits["scan_id"]) == {1, 3}
    notes = build(root)
    assert any("detect: 2 of 3 scans were done before" in note for note in notes)
    assert contents(root) == contents(built)


MORTAL = """
import os, signal
from pathlib import Path
from rrs_core.stages import detect
search = detect.detect_one
def dying(job):
    deaths = Path(os.environ["DEATHS"])
    if job.scan_id == 2 and not (deaths / "second").exists():
        (deaths / ("second" if (deaths / "first").exists() else "first")).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return search(job)
def dask_setup(worker):
    detect.detect_one = dying
"""


def test_a_worker_that_is_killed_while_it_searches_changes_nothing(
    built: Path, scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "survey"
    start(root, [scans], model)
    (tmp_path / "mortal.py").write_text(MORTAL)
    monkeypatch.setenv("DEATHS", f"{tmp_path}")
    with dask.config.set({"distributed.worker.preload": [f"{tmp_path / 'mortal.py'}"]}):
        build(root, workers=2)
    assert (tmp_path / "second").exists()
    assert contents(root) == contents(built)


@pytest.mark.parametrize("harm", ["killed", "flipped", "gone"])
def test_scans_keep_their_numbers_when_the_table_is_not_as_its_manifest_says(
    harm: str, copied: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the table's rename and the manifest a run can be killed; or bytes rot."""
    before = rrs_core.load(copied).scans
    new = write_scan(tmp_path / "new" / "s0.h5", 20)
    table = copied / "tables" / "scans.parquet"
    if harm == "killed":
        with monkeypatch.context() as patched:
            patched.setattr(Store, "finish", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                build(copied, new, only="ingest")
    elif harm == "flipped":
        table.write_bytes(table.read_bytes()[:-40] + b"x" * 40)
    else:
        table.unlink()
    notes = build(copied, new)
    assert "detect" in ran(notes)
    assert "detect: 3 of 4 scans were done before" in notes
    after = rrs_core.load(copied).scans
    assert dict(zip(after["path"], after["scan_id"], strict=True)) == dict(
        zip([*before["path"], f"{new}"], [1, 2, 3, 4], strict=True)
    )


@pytest.mark.parametrize("stage", ["detect", "encode"])
def test_finished_parts_stay_until_the_manifest_stands(
    stage: str, scans: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "survey"
    start(root, [scans], model)
    finish = Store.finish

    def killed(store: Store, name: str, *arguments: Any, **more: Any) -> None:  # noqa: ANN401
        if name == stage:
            raise KeyboardInterrupt
        finish(store, name, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            build(root)
    assert list((root / "work" / stage).iterdir())
    monkeypatch.setattr(detect, "detect_one", None)  # nothing is searched again
    if stage == "detect":
        build(root, only="detect")
    else:
        assert any("were done before" in note for note in build(root))
        assert not (root / "work").exists()


def test_a_stack_with_pixels_that_are_no_numbers_is_mended_and_empty_snippets_are_left_out(
    model: Path, tmp_path: Path
) -> None:
    stack = np.random.default_rng(0).gamma(100, 0.01, (6, 16, 256))
    stack[1, 3, 7], stack[2, 5, 9] = np.nan, np.inf
    stack[4] = np.nan
    np.save(tmp_path / "stack.npy", stack)
    start(tmp_path / "survey", [tmp_path / "stack.npy"], model)
    notes = build(tmp_path / "survey")
    survey = rrs_core.load(tmp_path / "survey")
    assert len(survey.hits) == len(survey.latents) == 5
    assert list(survey.hits["channel"] * 0 + survey.hits["coarse_channel"]) == [0, 1, 2, 3, 5]
    assert np.isfinite(survey.snippets).all()
    assert float(survey.snippets[1][3, 7]) == pytest.approx(np.median(stack[1][np.isfinite(stack[1])]), abs=1e-3)
    np.testing.assert_allclose(survey.snippets[4], stack[5], rtol=1e-3)
    assert sum("snippets have pixels that are not finite" in note for note in notes) == 1
    assert sum("1 of 6 snippets have no finite pixel" in note for note in notes) == 1


def test_a_cadence_that_cannot_be_is_named_and_is_no_cadence(scans: Path, model: Path, tmp_path: Path) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    cadence_table(folder, [(1, 0, "true", "s2.h5"), (1, 1, "false", "s1.h5")])  # the second one is earlier
    notes = build(root, folder, only="ingest")
    assert any("CADENCE_ORDER" in note for note in notes)
    assert places(rrs_core.load(root)) == [(None, None, None)] * 3


def test_a_name_that_cannot_be_written_down_is_refused_and_the_others_go_on(
    scans: Path, model: Path, tmp_path: Path
) -> None:
    folder, root = own_scans(tmp_path, scans, model)
    os.link(folder / "s1.h5", os.fsencode(folder) + b"/bad\xff.h5")
    refused = pipeline.build(root, [folder], Silent(), only="ingest")
    assert [error.code for error in refused] == ["NAME"]
    assert len(rrs_core.load(root).scans) == 3


def test_windows_narrower_than_a_snippet_lose_no_scan(scans: Path, model: Path, tmp_path: Path) -> None:
    root = tmp_path / "survey"
    power = draw_sky(3, ((70, 0.0, 3.0), (4000, 0.0, 3.0)), 8192)
    start(root, [write_scan(tmp_path / "edge.h5", 3, power=power, coarse=8192)], model)
    change(root, "width = 256", "width = 128")
    change(root, "stride = 128", "stride = 64")
    build(root)
    assert {70, 4000} <= set(rrs_core.load(root).hits["channel"])
