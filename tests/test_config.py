"""Settings: written, read back, digested; what is unknown or impossible is refused by name."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from rrs_core import config
from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("method", ["default", "paper"])
def test_settings_come_back_from_survey_toml(method: config.Method, tmp_path: Path) -> None:
    before = config.Settings.of(method, seed=7)
    path = write(tmp_path / "survey.toml", config.dump(before, {"rrs": "0.1.0"}))
    assert config.load(path) == before
    assert tomllib.loads(path.read_text(encoding="utf-8"))["versions"] == {"rrs": "0.1.0"}


def test_every_setting_of_every_stage_comes_back(tmp_path: Path) -> None:
    before = config.Settings(
        method="paper",
        seed=2**40,
        detect=config.DetectSettings("paper", 99.5, 0.25, 128, 64),
        encode=config.EncodeSettings("/models/my model é.safetensors"),
        project=config.ProjectSettings("pca", 30, 0.5, 1000),
    )
    for stage in ("detect", "encode", "project"):  # the test changes all of them
        assert getattr(before, stage) != getattr(config.Settings(), stage)
    assert config.load(write(tmp_path / "survey.toml", config.dump(before, {}))) == before


def test_the_papers_settings_are_the_papers() -> None:
    settings = config.Settings.of("paper")
    assert settings.detect.threshold == 512  # section 2.2
    assert (settings.detect.width, settings.detect.stride) == (256, 128)
    assert settings.encode.model == settings.detect.method == settings.method == "paper"


def test_missing_settings_are_the_defaults(tmp_path: Path) -> None:
    assert config.load(write(tmp_path / "survey.toml", "[survey]\nseed = 3\n")) == config.Settings(seed=3)


def test_a_whole_number_will_do_for_a_float(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path / "survey.toml", "[detect]\nthreshold = 256\n"))
    assert type(loaded.detect.threshold) is float
    assert loaded.detect.threshold == 256


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[detect]\nthreshhold = 5.0\n", "threshhold"),
        ("[detector]\nthreshold = 5.0\n", "detector"),
        ("[survey]\nname = 'x'\n", "name"),
        ("threshold = 5.0\n", "threshold"),
        ("detect = 3\n", "expected a table"),
        ("[detect]\nmethod = 'turboseti'\n", "turboseti"),
        ("[survey]\nmethod = ['paper']\n", "method"),
        ("[survey]\nseed = '3'\n", "seed"),
        ("[survey]\nseed = true\n", "seed"),
        ("[survey]\nseed = -1\n", "seed"),
        ("[survey]\nseed = 1.5\n", "seed"),
        ("[detect]\nwidth = 256.0\n", "width"),
        ("[detect]\nstride = 0\n", "stride"),
        ("[detect]\nthreshold = nan\n", "threshold"),
        ("[detect]\nthreshold = -1.0\n", "threshold"),
        ("[project]\nn_neighbors = 1\n", "n_neighbors"),
        ("[encode]\nmodel = 5\n", "model"),
        ("[detect\n", "not a TOML file"),
    ],
)
def test_what_is_unknown_or_impossible_is_refused_by_name(text: str, named: str, tmp_path: Path) -> None:
    path = write(tmp_path / "survey.toml", text)
    with pytest.raises(SettingsRefused) as refused:
        config.load(path)
    assert refused.value.code == "CONFIG"
    assert named in f"{refused.value}"
    assert f"{path}" in f"{refused.value}"


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "survey.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsRefused, match="not a TOML file"):
        config.load(tmp_path / "survey.toml")


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.Settings().detect.threshold = 5  # type: ignore[misc]


def test_a_digest_is_the_same_in_another_process_and_for_any_order_of_keys() -> None:
    here = config.digest(config.Settings.of("paper", 3), {"a": 1, "b": [1, 2]})
    code = (
        "from rrs_core import config; "
        "print(config.digest(config.Settings.of('paper', 3), {'b': [1, 2], 'a': 1}))"
    )  # fmt: skip
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert there.stdout.strip() == here


def test_a_digest_of_known_parts_never_changes() -> None:
    """Manifests of old surveys hold it: a change makes every survey stale."""
    assert config.digest(1, "a", {"b": 2.5}) == hashlib.sha256(b'[1, "a", {"b": 2.5}]').hexdigest()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(config.DetectSettings)])
def test_every_setting_enters_the_digest(field: str) -> None:
    before = config.DetectSettings()
    value = getattr(before, field)
    after = dataclasses.replace(before, **{field: "paper" if field == "method" else value + 1})
    assert config.digest(before) != config.digest(after)


def test_parts_of_a_digest_do_not_run_into_each_other() -> None:
    assert config.digest("ab", "c") != config.digest("a", "bc")
    assert config.digest(1, 2) != config.digest([1, 2])
    assert config.digest(1) != config.digest("1")
