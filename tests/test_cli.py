"""The command line: every verb answers as the contract says, every refusal is one line, every exit has its code."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from make_scans import draw_sky, write_model, write_scan
from typer.main import get_command

import rrs_core
from rrs_core import cli
from rrs_core.describe import checkpoints
from rrs_core.group.ranking import RESULT_COLUMNS
from rrs_core.survey.labels import FILE, Labels
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = sorted(get_command(cli.app).commands)  # type: ignore[attr-defined]


class Answer(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def rrs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run the command line in this process."""
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)  # SIGPIPE is the test runner's own business

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["rrs", *(f"{argument}" for argument in arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return Answer(left.value.code or 0, out, err)  # type: ignore[arg-type]

    return run


def in_process_of_its_own(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "rrs_core", *(f"{argument}" for argument in arguments)]


def is_refusal(answer: Answer, code: str) -> bool:
    """Tell whether a command was refused with a code, in one line on stderr and nothing on stdout but progress."""
    lines = [line for line in answer.err.splitlines() if not line.startswith("ingest: ")]
    return (
        answer.code == 2
        and answer.out == ""
        and len(lines) == 1
        and lines[0].startswith(f"rrs: error: [{code}] ")
        and "Traceback" not in answer.err
    )


def strict_json(text: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Read JSON as a browser does: NaN is none."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans with the same tones; not to be changed."""
    folder = tmp_path_factory.mktemp("scans")
    for seed in (1, 2):
        write_scan(folder / f"s{seed}.h5", seed)
    return folder


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    """A finished survey of the two scans, built by the command line; not to be changed."""
    folder = tmp_path_factory.mktemp("survey")
    root, model = folder / "night", write_model(folder / "model.safetensors")
    subprocess.run(in_process_of_its_own("ingest", root, scans), check=True, capture_output=True)
    toml = root / "survey.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace('model = "default"', f'model = "{model}"'))
    subprocess.run(in_process_of_its_own("build", root, scans), check=True, capture_output=True)
    return root


@pytest.fixture
def copied(survey: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(survey, tmp_path / "copied"))


# Help and usage


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_every_option_has_help(verb: str, rrs: Callable[..., Answer]) -> None:
    answer = rrs(verb, "--help")
    assert answer.code == 0
    assert answer.err == ""
    command = get_command(cli.app).commands[verb]  # type: ignore[attr-defined]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None) or parameter.name == "seed", f"{verb} {parameter.name}"


def test_the_verbs_of_the_contract_that_are_there_are_named_as_it_names_them() -> None:
    contract = {
        "simulate", "build", "ingest", "detect", "features", "encode", "cluster", "events", "project", "train", "tune",
        "search", "recover", "evaluate", "doctor", "export", "serve",
    }  # fmt: skip
    beside = {"explain", "tune-clusters", "merge-labels"}  # the contract names no verb for these
    assert set(VERBS) <= contract | beside
    stages = {"ingest", "detect", "features", "encode", "cluster", "events", "project"}
    assert {"simulate", "build", "train", "search"} | stages <= set(VERBS)
    assert {"doctor", "export", "serve"} <= set(VERBS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["build"],
        ["search"],
        ["search", "S", "--top", "many"],
        ["search", "S", "--top", "0"],
        ["search", "S", "--nonsense"],
        ["build", "S", "--method", "best"],
        ["build", "S", "--workers", "0"],
        ["build", "S", "--workers", "-1"],
        ["build", "S", "--workers", "1000000"],
        ["build", "S", "--seed", "-1"],
        ["simulate", "S", "--preset", "huge"],
        ["serve", "S", "--port", "99999"],
        ["encode"],
        ["encode", "S", "--out", "x.npy"],
        ["encode", "S", "--model", "paper"],
        ["encode", "S", "--snippets", "x.npy", "--out", "y.npy"],
        ["encode", "--snippets", "x.npy"],
    ],
)
def test_a_misuse_is_one_line_and_exit_2(arguments: list[str], rrs: Callable[..., Answer]) -> None:
    assert is_refusal(rrs(*arguments), "USAGE")


def test_the_command_alone_shows_its_help(rrs: Callable[..., Answer]) -> None:
    answer = rrs()
    assert answer.code == 2
    assert "Usage" in answer.out
    assert answer.err == ""


# Build


def test_a_build_tells_its_stages_on_stderr_and_nothing_on_stdout(
    copied: Path, scans: Path, rrs: Callable[..., Answer]
) -> None:
    answer = rrs("build", copied, scans)
    assert (answer.code, answer.out) == (0, "")
    for stage in ("ingest", "detect", "encode", "project"):
        assert f"{stage}: up to date, skipped" in answer.err.splitlines()


def test_one_bad_file_among_good_ones_is_named_and_the_others_are_built(
    copied: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    write_scan(tmp_path / "new" / "good.h5", 9)
    (tmp_path / "new" / "bad.h5").write_text("no scan")
    answer = rrs("build", copied, tmp_path / "new")
    assert answer.code == 2
    errors = [line for line in answer.err.splitlines() if line.startswith("rrs: error:")]
    assert len(errors) == 1
    assert errors[0].startswith("rrs: error: [NOT_HDF5] ")
    assert "bad.h5" in errors[0]
    assert "Traceback" not in answer.err
    assert set(rrs_core.load(copied).hits["scan_id"]) == {1, 2, 3}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["build", "absent"], "NO_SURVEY"),
        (["detect", "absent"], "NO_SURVEY"),
        (["build", "new", "absent.h5"], "NOT_FOUND"),
        (["build", "new", "."], "NO_FILES"),
        (["build", "text.h5", "text.h5"], "NOT_A_FOLDER"),
        (["build", "new", "text.h5"], "NOT_HDF5"),
        (["ingest", "new", "text.h5"], "NOT_HDF5"),
        (["search", "absent", "--hit", "1"], "NO_SURVEY"),
        (["export", "absent", "hits", "--out", "x.csv"], "NO_SURVEY"),
        (["export", "absent", "hits", "--out", "x.csv", "--detector", "doppler"], "USAGE"),
        (["export", "absent", "hits", "--out", "x.dat", "--scan", "1", "--detector", "doppler"], "NO_SURVEY"),
        (["export", "absent", "hit", "--out", "x.html"], "USAGE"),
        (["export", "absent", "hits", "--hit", "1", "--out", "x.html"], "USAGE"),
        (["export", "absent", "hit", "--hit", "1", "--out", "x.html", "--findevent"], "USAGE"),
        (["export", "absent", "hit", "--hit", "1", "--out", "x.csv"], "FORMAT"),
        (["export", "absent", "hit", "--hit", "1", "--out", "x.html"], "NO_SURVEY"),
        (["encode", "--snippets", "absent.npy", "--out", "x.npy"], "MISSING"),
        (["train", "absent", "--out", "m.pt"], "FORMAT"),
        (["train", "absent", "--out", "m.safetensors"], "NO_SURVEY"),
    ],
)
def test_what_is_not_there_is_one_line_and_leaves_nothing(
    arguments: list[str], code: str, tmp_path: Path, rrs: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.h5").write_text("no scan")
    before = sorted(Path().rglob("*"))
    if "." in arguments:
        Path("text.h5").unlink()
        before = []
    answer = rrs(*arguments)
    assert is_refusal(answer, code), answer
    left = [path for path in Path().rglob("*") if path.name != ".lock" and path != Path("new")]
    assert sorted(left) == before


def test_an_unknown_setting_is_named(copied: Path, rrs: Callable[..., Answer]) -> None:
    with (copied / "survey.toml").open("a", encoding="utf-8") as handle:
        handle.write("[detectt]\nthreshold = 3\n")
    answer = rrs("build", copied)
    assert is_refusal(answer, "CONFIG")
    assert "detectt" in answer.err


@pytest.mark.parametrize("name", ["with space", "with\nline feed", "ünïcode", "[red]brackets[/red]", "-dash"])
def test_odd_names_of_folders_are_names(name: str, scans: Path, tmp_path: Path, rrs: Callable[..., Answer]) -> None:
    root = tmp_path / name / "survey"
    answer = rrs("ingest", root, scans)
    assert (answer.code, answer.out) == (0, "")
    assert len(Store(root).read_table("scans")) == 2
    assert is_refusal(rrs("search", root, "--hit", "1"), "STAGE_ORDER")


# Search


def test_a_hit_finds_others_and_not_itself(survey: Path, rrs: Callable[..., Answer]) -> None:
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    answer = rrs("search", survey, "--hit", hit, "--top", 4)
    assert answer.code == 0
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert lines[0].split() == list(RESULT_COLUMNS)
    assert len(lines) == 5
    assert not any(line.split()[1] == f"{hit}" for line in lines[1:])


def test_json_is_one_object_on_stdout_and_nothing_else(survey: Path, rrs: Callable[..., Answer]) -> None:
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    answer = rrs("search", survey, "--hit", hit, "--top", 3, "--json")
    assert answer.err == ""
    found = strict_json(answer.out)["lookalikes"]
    assert [row["rank"] for row in found] == [1, 2, 3]
    assert found[0]["on"] is None  # these scans are in no cadence
    assert list(found[0]) == list(RESULT_COLUMNS)
    assert all(isinstance(row["hit_id"], int) and isinstance(row["score"], float) for row in found)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_results_are_written_to_a_file_of_the_wanted_kind(
    suffix: str, survey: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    out = tmp_path / "new folder" / f"found{suffix}"
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    assert rrs("search", survey, "--hit", hit, "--out", out).code == 0
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[suffix]
    table = read(out)  # type: ignore[operator]
    truth = json.loads(rrs("search", survey, "--hit", hit, "--json").out)["lookalikes"]
    assert list(table) == list(RESULT_COLUMNS)
    assert table["hit_id"].tolist() == [row["hit_id"] for row in truth]
    np.testing.assert_allclose(table["frequency_mhz"], [row["frequency_mhz"] for row in truth], atol=1e-9)


@pytest.mark.parametrize("kind", ["npy", "npz", "h5", "fil"])
def test_a_snippet_file_is_searched_for(kind: str, survey: Path, tmp_path: Path, rrs: Callable[..., Answer]) -> None:
    known = rrs_core.load(survey)
    hit = known.hits.iloc[1]
    path = tmp_path / f"query.{kind}"
    options: list[object] = []
    if kind == "npy":
        np.save(path, known.snippets[1])
    elif kind == "npz":
        np.savez(path, known.snippets[1])
    else:
        write_scan(path, 1)
        middle = hit["frequency_mhz"] - (hit["snippet_channel"] - hit["channel"]) * 2.7939677238464355e-6
        options = ["--frequency-mhz", f"{middle:.9f}"]
    answer = rrs("search", survey, "--snippet", path, "--json", *options)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)["lookalikes"]
    assert found[0]["hit_id"] == hit["hit_id"]
    assert found[0]["score"] > 0.99


def test_a_template_is_drawn_and_searched_for(survey: Path, tmp_path: Path, rrs: Callable[..., Answer]) -> None:
    template = tmp_path / "query.toml"
    template.write_text('family = "technosignature"\nsnr = 60\ndrift_rate_hz_s = 0.5\nwidth_hz = 10.0\nseed = 3\n')
    first, again = (rrs("search", survey, "--template", template, "--json") for _ in range(2))
    assert first.code == 0, first.err
    assert first.out == again.out
    assert len(json.loads(first.out)["lookalikes"]) > 3


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("snr = 5\n", "TEMPLATE"),
        ('family = "technosignature"\nsnrr = 5\n', "TEMPLATE"),
        ('family = "technosignature"\nsnr = "5"\n', "TEMPLATE"),
        ('family = "technosignature"\nseed = -1\n', "TEMPLATE"),
        ('family = "technosignature"\nsnr = nan\n', "TEMPLATE"),
        ('family = "nonsense"\n', "FAMILY"),
        ("family = [\n", "TEMPLATE"),
        ("family = 5\n", "TEMPLATE"),
    ],
)
def test_a_template_that_describes_nothing_is_refused(
    text: str, code: str, survey: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    (tmp_path / "query.toml").write_text(text)
    assert is_refusal(rrs("search", survey, "--template", tmp_path / "query.toml"), code)


def test_a_frequency_weight_brings_near_hits_forward(survey: Path, rrs: Callable[..., Answer]) -> None:
    hits = rrs_core.load(survey).hits
    hit = hits["hit_id"].iloc[0]
    answer = rrs("search", survey, "--hit", hit, "--frequency-weight", 1, "--json")
    found = json.loads(answer.out)["lookalikes"]
    away = [abs(row["frequency_mhz"] - hits["frequency_mhz"].iloc[0]) for row in found]
    assert away == sorted(away)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], "USAGE"),
        (["--hit", "1", "--template", "q.toml"], "USAGE"),
        (["--hit", "1"], "NO_HIT"),
        (["--hit", "HIT", "--frequency-weight", "2"], "WEIGHT"),
        (["--hit", "HIT", "--frequency-weight", "nan"], "WEIGHT"),
        (["--snippet", "SNIPPET", "--frequency-weight", "0.5"], "NO_FREQUENCY"),
        (["--snippet", "absent.npy"], "MISSING"),
        (["--hit", "HIT", "--out", "found.xls"], "FORMAT"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    options: list[str], code: str, survey: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    np.save(tmp_path / "query.npy", draw_sky(1)[:, :256])
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    words = {"HIT": f"{hit}", "SNIPPET": f"{tmp_path / 'query.npy'}"}
    assert is_refusal(rrs("search", survey, *(words.get(option, option) for option in options)), code)


def test_several_surveys_answer_at_once_and_say_which_one_a_hit_is_of(
    survey: Path, copied: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    alone = json.loads(rrs("search", survey, "--hit", hit, "--duplicates", "--json").out)["lookalikes"]
    answer = rrs("search", survey, copied, "--hit", hit, "--duplicates", "--json", "--top", 1000)
    found = strict_json(answer.out)["lookalikes"]
    assert list(found[0]) == [*RESULT_COLUMNS, "survey"]
    assert (hit, "copied", 1.0) in [(row["hit_id"], row["survey"], round(row["score"], 5)) for row in found]
    assert len(found) == 2 * len(rrs_core.load(survey).hits) - 1
    own = [row["hit_id"] for row in found if row["survey"] == survey.name]
    assert own[: len(alone)] == [row["hit_id"] for row in alone]
    lines = rrs("search", survey, copied, "--hit", hit).out.splitlines()
    assert lines[0].split()[-1] == "survey"
    assert rrs("search", survey, copied, "--hit", hit, "--out", tmp_path / "found.csv").code == 0
    assert pd.read_csv(tmp_path / "found.csv")["survey"].isin([survey.name, "copied"]).all()


def test_workers_search_alike(survey: Path, copied: Path, rrs: Callable[..., Answer]) -> None:
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    here, workers = (rrs("search", survey, copied, "--hit", hit, "--json", *how) for how in ([], ["--workers", 2]))
    assert (workers.code, workers.err) == (0, "")
    assert workers.out == here.out


def test_surveys_of_different_models_are_refused(survey: Path, copied: Path, rrs: Callable[..., Answer]) -> None:
    manifest = Store(copied).manifest_path("encode")
    manifest.write_text(manifest.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    answer = rrs("search", survey, copied, "--hit", rrs_core.load(survey).hits["hit_id"].iloc[0])
    assert is_refusal(answer, "MODELS_DIFFER")
    assert f"{copied}" in answer.err
    assert "got model version 0" in answer.err
    assert f"that of {survey}" in answer.err
    assert is_refusal(rrs("search", survey, survey, "--hit", "1"), "USAGE")
    both = ["--workers", 2, "--scheduler", "tcp://127.0.0.1:9"]
    assert is_refusal(rrs("search", survey, "--hit", "1", *both), "USAGE")


@pytest.mark.parametrize(
    ("options", "code"), [([], "EXTRA"), (["--workers", "2"], "USAGE"), (["--frequency-weight", "0.5"], "USAGE")]
)
def test_an_approximate_search_that_cannot_be_is_refused(
    options: list[str], code: str, survey: Path, rrs: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    assert is_refusal(rrs("search", survey, "--hit", hit, "--approximate", *options), code)


# Arrays, exports, doctor


@pytest.mark.parametrize("dtype", ["u1", "f2", "f4", "f8"])
def test_any_array_of_snippets_is_encoded_as_the_library_does(
    dtype: str, survey: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    model = rrs_core.load(survey).settings.encode.model
    stack = np.rint(50 * rrs_core.load(survey).snippets[:5].astype(np.float64)).clip(0, 255).astype(dtype)
    np.save(tmp_path / "stack.npy", stack)
    answer = rrs("encode", "--snippets", tmp_path / "stack.npy", "--out", tmp_path / "z.npy", "--model", model)
    assert answer.code == 0, answer.err
    latents = np.load(tmp_path / "z.npy", allow_pickle=False)
    assert latents.dtype == np.float32
    np.testing.assert_array_equal(latents, checkpoints.load(model).encode(stack))


def test_encoding_takes_place_on_the_device_that_was_named(
    survey: Path, copied: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    model = rrs_core.load(survey).settings.encode.model
    np.save(tmp_path / "stack.npy", rrs_core.load(survey).snippets[:5])
    array = ("encode", "--snippets", tmp_path / "stack.npy", "--out", tmp_path / "z.npy", "--model", model)
    assert is_refusal(rrs(*array, "--device", "tpu"), "DEVICE")
    assert not (tmp_path / "z.npy").exists()
    assert is_refusal(rrs("encode", copied, "--device", "tpu"), "DEVICE")
    assert rrs(*array, "--device", "cpu").code == 0
    Store(copied).table_path("latents").unlink()
    assert rrs("encode", copied, "--device", "cpu").code == 0
    expected = rrs_core.load(survey).latent_matrix
    np.testing.assert_array_equal(rrs_core.load(copied).latent_matrix, expected)
    np.testing.assert_allclose(np.load(tmp_path / "z.npy", allow_pickle=False), expected[:5], atol=1e-5)


def test_labels_of_a_copy_are_merged_and_counted(copied: Path, tmp_path: Path, rrs: Callable[..., Answer]) -> None:
    Labels(copied / FILE).add("ada", 1, "noise", "=cmd()")
    Labels(copied / FILE).add("ada", 1, "GPS", kind="cluster")
    out = tmp_path / "labels.csv"
    assert rrs("export", copied, "labels", "--out", out).out == f"2 rows of labels in {out}\n"
    assert rrs("merge-labels", copied, out).out == "0 new, 2 known\n"
    (copied / FILE).rename(tmp_path / FILE)
    assert rrs("merge-labels", copied, out, "--json").out == '{"new": 2, "known": 0}\n'
    assert Labels(copied / FILE).rows()["comment"].tolist() == ["=cmd()", ""]
    out.write_text(out.read_text().replace("noise", "natural"))
    refused = rrs("merge-labels", copied, out)
    assert refused.code == 2
    assert "[LABEL]" in refused.err
    assert "line 2" in refused.err
    assert rrs("merge-labels", tmp_path / "nowhere", out).code == 2
    assert rrs("export", copied, "nonsense", "--out", out).err.count("catalogue") == 1


@pytest.mark.parametrize("table", ["scans", "hits", "latents", "projection"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_every_table_is_exported_whole(
    table: str, suffix: str, survey: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    answer = rrs("export", survey, table, "--out", tmp_path / f"t{suffix}")
    truth = Store(survey).read_table(table)
    assert answer.out == f"{len(truth)} rows of {table} in {tmp_path / f't{suffix}'}\n"
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[suffix]
    found = read(tmp_path / f"t{suffix}")  # type: ignore[operator]
    assert list(found) == list(truth)
    for column in truth.select_dtypes("number"):
        digits = 1e-7 if truth[column].dtype == np.float32 else 1e-14
        given, back = truth[column].to_numpy(np.float64), found[column].to_numpy(np.float64)
        np.testing.assert_allclose(back, given, rtol=digits)
    if suffix == ".json":
        rows = strict_json((tmp_path / "t.json").read_text(encoding="utf-8"))
        assert len(rows) == len(truth)
        assert table != "hits" or rows[0]["drift_rate_hz_s"] is None
    if suffix == ".parquet":
        pd.testing.assert_frame_equal(found, truth)


def test_all_about_a_hit_is_one_page(survey: Path, tmp_path: Path, rrs: Callable[..., Answer]) -> None:
    hit, out = int(Store(survey).read_table("hits")["hit_id"].iloc[0]), tmp_path / "hit.html"
    answer = rrs("export", survey, "hit", "--hit", f"{hit}", "--out", out)
    assert answer.out == f"{out.stat().st_size:,} bytes in {out}\n"
    assert f"<h1>Hit {hit}</h1>" in out.read_text(encoding="utf-8")


def test_a_csv_cannot_run_as_a_formula(tmp_path: Path, rrs: Callable[..., Answer]) -> None:
    write_scan(tmp_path / "scan.h5", 1, name="=cmd|' /C calc'!A0")
    rrs("ingest", tmp_path / "survey", tmp_path / "scan.h5")
    rrs("export", tmp_path / "survey", "scans", "--out", tmp_path / "scans.csv")
    assert pd.read_csv(tmp_path / "scans.csv")["source_name"].tolist() == ["'=cmd|' /C calc'!A0"]


def test_doctor_has_one_line_a_file_and_goes_on_after_a_bad_one(
    scans: Path, tmp_path: Path, rrs: Callable[..., Answer]
) -> None:
    (tmp_path / "bad.h5").write_text("no scan")
    paths = [scans / "s1.h5", tmp_path / "bad.h5", tmp_path / "absent.h5", scans / "s2.h5"]
    answer = rrs("doctor", *paths)
    lines = answer.out.splitlines()
    assert answer.code == 2
    assert answer.err == ""
    assert len(lines) == 4
    assert lines[0].startswith(f"{paths[0]}: ok; ")
    assert lines[1].startswith("[NOT_HDF5] ")
    assert lines[2].startswith("[MISSING] ")
    for line, path in zip(lines, paths, strict=True):
        assert path.name in line
    found = json.loads(rrs("doctor", *paths, "--json").out)["files"]
    assert [one["ok"] for one in found] == [True, False, False, True]
    assert [one["code"] for one in found] == ["", "NOT_HDF5", "MISSING", ""]
    assert rrs("doctor", scans).code == 0


def test_doctor_leaves_nothing_behind(scans: Path, rrs: Callable[..., Answer]) -> None:
    before = sorted(scans.iterdir())
    rrs("doctor", scans)
    assert sorted(scans.iterdir()) == before


# Ends of the process


def test_a_bug_is_a_traceback_and_exit_1(survey: Path) -> None:
    code = (
        "import sys; from rrs_core import ask, cli; ask.lookalikes_of = lambda *a, **k: 1 / 0; "
        f"sys.argv = ['rrs', 'search', {f'{survey}'!r}, '--hit', '1']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


SLOW = """
import signal, sys, time
from rrs_core.stages import detect
def slow(job):
    print("searching", flush=True)
    time.sleep(60)
detect.detect_one = slow
from rrs_core.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
main()
"""


@pytest.mark.parametrize(("signal_sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_an_interrupt_ends_a_build_at_once_and_says_how_to_go_on(
    signal_sent: signal.Signals, code: int, scans: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SLOW, "build", f"{tmp_path / 'survey'}", f"{scans}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "searching\n"
        sent = time.monotonic()
        process.send_signal(signal_sent)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - sent < 20
    assert "Traceback" not in err
    if signal_sent == signal.SIGINT:
        assert "run the same command again" in err.splitlines()[-1]
    with Store(tmp_path / "survey").lock():
        assert Store(tmp_path / "survey").manifest("ingest") is not None


def test_a_second_build_of_one_survey_is_told_to_wait(survey: Path, scans: Path, rrs: Callable[..., Answer]) -> None:
    with Store(survey).lock():
        done = subprocess.run(
            in_process_of_its_own("build", survey, scans), capture_output=True, text=True, check=False
        )
        assert is_refusal(Answer(done.returncode, done.stdout, done.stderr), "BUSY")
        assert f"process {os.getpid()}" in done.stderr
        assert rrs("search", survey, "--hit", rrs_core.load(survey).hits["hit_id"].iloc[0]).code == 0  # reading goes on


def test_a_reader_that_goes_away_is_no_error(survey: Path) -> None:
    hit = rrs_core.load(survey).hits["hit_id"].iloc[0]
    command = in_process_of_its_own("search", survey, "--hit", hit, "--top", 1000)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode in (0, -signal.SIGPIPE)  # not 1: that is a bug's


def test_whoever_ends_serve_ends_the_dashboard(survey: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = in_process_of_its_own("serve", survey, "--port", port)
    address = f"http://127.0.0.1:{port}/_stcore/health"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        until, healthy = time.monotonic() + 60, False
        while not healthy and server.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
                healthy = answer.status == 200
            time.sleep(0.1)
        server.terminate()
    assert healthy
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)


def test_a_plain_locale_and_no_home_are_enough(survey: Path) -> None:
    done = subprocess.run(
        in_process_of_its_own("search", survey, "--hit", "1"),
        capture_output=True,
        text=True,
        check=False,
        env={"LANG": "C", "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
    )
    assert is_refusal(Answer(done.returncode, done.stdout, done.stderr), "NO_HIT")
