"""Each page on a finished, an empty, a half-built and a hostile survey, and uploads of every bad kind."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import pickle
import re
import resource
import shutil
import struct
import tarfile
import threading
import time
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from apps import ROOT, opened, sent
from make_scans import FCH1_MHZ, write_scan
from make_survey import FOFF_MHZ, draw_snippet, make_large_survey, make_survey
from streamlit.testing.v1 import AppTest

from pages.components import (
    export,
    gallery,
    hitmap,
    loaders,
    mapahead,
    mapdata,
    mapdrawn,
    mapsample,
    mapselection,
    mapstate,
    mapwebgl,
    uploads,
)
from rrs_core.errors import FileRefused, RRSError
from rrs_core.group import views
from rrs_core.group.search import index_of
from rrs_core.observe.snippetfiles import Snippet
from rrs_core.survey import selections
from rrs_core.survey.catalogue import load
from rrs_core.survey.labels import FILE, Labels
from rrs_core.survey.store import Store

PAGES = ("overview", "map", "lookalikes", "clusters", "events", "features", "hits", "latents", "recovery")
HOSTILE = ("<img src=x onerror=alert(1)>", "[click](javascript:alert(1)) =cmd()")


def is_literal(markdown: str) -> bool:
    """Tell whether no tag, link or change of direction in a text is live: each is escaped."""
    return not re.search(r"(?<!\\)<\w|(?<!\\)\]\(|[\u202a-\u202e\u2066-\u2069]", markdown)


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def packed(**files: bytes) -> bytes:
    """Return a zip of files by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(name: str) -> bytes:
    """Return a tar that holds one file of a name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return out.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def snippet() -> np.ndarray:
    return draw_snippet("drifting line", np.random.default_rng(5))


def upload(survey: Path, data: bytes, monkeypatch: pytest.MonkeyPatch, name: str = "query.npy") -> AppTest:
    """Return the page of lookalikes after an upload."""
    app = opened("lookalikes", survey, monkeypatch)
    app.file_uploader[0].set_value((name, data, "application/octet-stream")).run()
    assert not app.exception, app.exception
    return app


# Surveys of every kind


@pytest.mark.parametrize("page", PAGES)
def test_without_a_survey_every_page_says_what_to_type(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = sent(opened(page, tmp_path / "my survey", monkeypatch))
    assert "make run" not in text  # it makes the demo, elsewhere
    assert f"rrs build '{tmp_path / 'my survey'}' PATH..." in text
    monkeypatch.setattr(loaders, "DEMO", tmp_path / "my survey")
    assert "make run" in sent(opened(page, tmp_path / "my survey", monkeypatch))


@pytest.mark.parametrize("page", PAGES)
def test_one_hit_is_enough_for_every_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(page, make_survey(tmp_path / "one", n_hits=1), monkeypatch)
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
def test_hits_without_frequencies_are_shown_all_the_same(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = make_survey(tmp_path / "stack", n_hits=40, frequencies=False)
    hit = f"{load(survey).strongest()}"
    app = opened(page, survey, monkeypatch, **({"hit": hit} if page == "lookalikes" else {}))
    assert not app.error
    assert "nan" not in sent(app)
    if page == "lookalikes":
        assert "frequency unknown" in sent(app)
        assert len(app.dataframe[0].value) == 39
        assert app.slider(key="lookalikes.weight").disabled


@pytest.mark.parametrize("page", PAGES)
def test_no_hit_is_no_crash(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(page, make_survey(tmp_path / "none", n_hits=0), monkeypatch)
    assert not app.error
    assert app.info


@pytest.mark.parametrize(
    ("page", "command"),
    list(zip(PAGES[1:6], ("rrs project", "rrs encode", "rrs cluster", "rrs events", "rrs features"), strict=True)),
)
def test_a_half_built_survey_names_the_stage_to_run(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = make_survey(tmp_path / "half", n_hits=20, stages=("ingest", "detect"))
    assert f"{command} {survey}" in sent(opened(page, survey, monkeypatch))
    assert "Not done yet" in [element.help for element in opened("overview", survey, monkeypatch).markdown]


@pytest.mark.parametrize("damage", ["settings", "table", "snippets"])
@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_survey_is_one_line_on_every_page(
    page: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = make_survey(tmp_path / "damaged", n_hits=20)
    if damage == "settings":
        (survey / "survey.toml").write_text("[surprise]\n")
    elif damage == "table":
        (survey / "tables" / "hits.parquet").write_bytes(b"not a table")
    else:
        with (survey / "snippets.npy").open("wb") as handle:
            np.save(handle, np.zeros((3, 16, 256), np.float16))
    app = opened(page, survey, monkeypatch)
    assert len(app.error) == 1
    assert "\n" not in app.error[0].value.replace("  \n`", "")


def test_overview_counts_what_the_tables_hold(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("overview", tiny_survey, monkeypatch)
    assert {metric.label: metric.value for metric in app.metric} == {
        "Hits": "240",
        "Scans": "12",
        "Cadences": "2",
        "Band covered [MHz]": "0.732",
    }
    assert "PCA" in sent(app)
    assert len(app.dataframe[0].value) == 12


def test_occupancy_keeps_scans_in_no_cadence_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_survey(tmp_path / "alone", n_hits=240)
    store = Store(root)
    scans = store.read_table("scans")
    alone = scans.index[:2]  # one ON and one OFF scan before
    scans.loc[alone, ["cadence_id", "position", "on"]] = pd.NA
    store.write_table("scans", scans)
    band = load(root).bands()[0]
    table = load(root).table
    inside = table[table["frequency_mhz"].between(*band)]
    app = opened("overview", root, monkeypatch)
    (spec,) = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    hits = {}
    for trace in spec["data"]:
        data = trace["customdata"]
        rows = np.frombuffer(base64.b64decode(data["bdata"]), data["dtype"]).reshape(-1, 4)
        hits[trace["name"].split(" (")[0]] = rows[:, 2].sum()
    assert hits == {
        "ON": inside["on"].fillna(False).sum(), "OFF": (~inside["on"].fillna(True)).sum(),
        "no cadence": inside["on"].isna().sum(),
    }  # fmt: skip
    assert min(hits.values()) > 0
    text = sent(app)
    assert "is not confined to the ON targets" in text
    assert "Scans in no cadence are neither" in text
    assert "2 in no cadence" in next(metric.help for metric in app.metric if metric.label == "Scans")


def test_a_survey_that_was_built_again_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = make_survey(tmp_path / "s", n_hits=20)
    assert opened("overview", survey, monkeypatch).metric[0].value == "20"
    shutil.rmtree(survey)
    make_survey(survey, n_hits=30)
    assert opened("overview", survey, monkeypatch).metric[0].value == "30"


# Foreign text


@pytest.mark.parametrize("page", PAGES)
def test_hostile_source_names_are_text(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = make_survey(tmp_path / "hostile", n_hits=40, names=HOSTILE)
    table = load(survey).table
    for target in table["source_name"].unique():
        hit = table.loc[table["source_name"] == target, "hit_id"].iloc[0]
        app = opened(page, survey, monkeypatch, **({"hit": f"{hit}"} if page == "lookalikes" else {}))
        for element in [*app.markdown, *app.caption, *app.error]:
            assert is_literal(element.value)
        assert not any(element.allow_html for element in app.markdown)
        if page != "lookalikes":
            break


def test_exported_cells_cannot_run_and_numbers_stay_numbers() -> None:
    frame = pd.DataFrame({"source_name": ["=cmd()", "@x", "HIP1"], "drift_rate_hz_s": [-1.5, 0.25, np.nan]})
    rows = list(csv.reader(io.StringIO(export.csv_bytes(frame).decode())))
    assert rows[1:] == [["'=cmd()", "-1.5"], ["'@x", "0.25"], ["HIP1", ""]]


# Lookalikes


def test_a_link_to_a_hit_searches_for_it(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hit = load(tiny_survey).strongest()
    app = opened("lookalikes", tiny_survey, monkeypatch, hit=f"{hit}")
    assert f"Hit {hit}" in sent(app)
    found = app.dataframe[0].value
    assert len(found) == 50
    assert hit not in set(found["hit_id"])
    assert found["score"].is_monotonic_decreasing
    assert app.query_params["hit"] == f"{hit}"


@pytest.mark.parametrize("bad", ["42", "../../x", "' OR 1=1--", "<script>", "9" * 400, "-1", "１２"])
def test_a_link_to_no_hit_is_refused_in_one_line(bad: str, tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("lookalikes", tiny_survey, monkeypatch, hit=bad)
    assert len(app.error) == 1
    assert "NO_HIT" in app.error[0].value
    assert is_literal(app.error[0].value)


def test_an_uploaded_hit_finds_itself_first(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load(tiny_survey)
    hit = int(survey.hits["hit_id"].iloc[17])
    app = upload(tiny_survey, npy(survey.snippet(hit)), monkeypatch)
    found = app.dataframe[0].value
    assert found["hit_id"].iloc[0] == hit
    assert found["score"].iloc[0] == pytest.approx(1, abs=1e-3)
    assert "of 200 of the survey's own hits, drawn at random, 0% find a closer lookalike" in app.success[0].value


def test_settings_of_the_search_do_what_they_say(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load(tiny_survey)
    hit = survey.strongest()
    mhz = survey.hit(hit)["frequency_mhz"]
    app = opened("lookalikes", tiny_survey, monkeypatch, hit=f"{hit}")
    app.slider(key="lookalikes.top").set_value(20).run()
    plain = app.dataframe[0].value
    assert len(plain) == 20
    app.slider(key="lookalikes.weight").set_value(1.0).run()
    near = app.dataframe[0].value
    assert (near["frequency_mhz"] - mhz).abs().max() < 1
    assert (plain["frequency_mhz"] - mhz).abs().max() > 1000


def test_the_verdict_is_of_the_likeness_whatever_weight_frequency_has(
    tiny_survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("lookalikes", tiny_survey, monkeypatch, hit=f"{load(tiny_survey).strongest()}")
    before = [box.value for box in (*app.success, *app.warning)]
    assert len(before) == 1
    assert "Score: cosine of the latents, 1 at most" in sent(app)
    app.slider(key="lookalikes.weight").set_value(0.5).run()
    assert [box.value for box in (*app.success, *app.warning)] == before
    assert "nearness in frequency" in sent(app)
    app.toggle(key="lookalikes.duplicates").set_value(True).run()
    assert [box.value for box in (*app.success, *app.warning)] == before


def test_one_hit_alone_is_no_yardstick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = upload(make_survey(tmp_path / "s", n_hits=1), npy(snippet()), monkeypatch)
    assert not app.exception
    assert not app.success
    assert "nothing to measure that by" in sent(app)


def test_another_upload_does_not_inherit_the_frequency_of_the_one_before(
    tiny_survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("lookalikes", tiny_survey, monkeypatch)
    app.number_input(key="lookalikes.upload_mhz").set_value(1420.4).run()
    app.file_uploader(key="lookalikes.upload").set_value(("a.npy", npy(snippet()), "application/octet-stream")).run()
    assert "1420.400000 MHz" in sent(app)  # typed in before the first upload: meant for it
    app.file_uploader(key="lookalikes.upload").set_value(("b.npy", npy(snippet()), "application/octet-stream")).run()
    assert app.number_input(key="lookalikes.upload_mhz").value is None
    assert "1420.400000 MHz" not in sent(app)


def test_an_upload_without_a_frequency_has_no_frequency_weight(
    tiny_survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = upload(tiny_survey, npy(snippet()), monkeypatch)
    assert app.slider(key="lookalikes.weight").disabled
    app.number_input(key="lookalikes.upload_mhz").set_value(1420.4).run()
    assert not app.slider(key="lookalikes.weight").disabled
    app.slider(key="lookalikes.weight").set_value(0.9).run()
    assert app.dataframe[0].value["frequency_mhz"].iloc[0] < 1500


def test_near_duplicates_appear_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = make_survey(tmp_path / "s", n_hits=30)
    hits = pd.read_parquet(survey / "tables" / "hits.parquet")
    hits.loc[:9, "scan_id"] = 1  # ten hits within one snippet's width of each other
    hits.loc[:9, "frequency_mhz"] = 1420.5 + FOFF_MHZ * np.arange(10)
    hits.to_parquet(survey / "tables" / "hits.parquet")
    app = opened("lookalikes", survey, monkeypatch, hit=f"{hits['hit_id'].iloc[20]}")
    assert len(app.dataframe[0].value) == 20
    app.toggle(key="lookalikes.duplicates").set_value(True).run()
    assert len(app.dataframe[0].value) == 29


def test_the_hit_nearest_to_a_frequency_is_searched_for(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load(tiny_survey)
    hit = survey.hits[survey.hits["scan_id"] == 3].iloc[4]
    app = opened("lookalikes", tiny_survey, monkeypatch)
    app.button_group(key="lookalikes.source").set_value("Frequency").run()
    app.selectbox(key="lookalikes.scan").set_value(3).run()
    app.button_group(key="lookalikes.take").set_value("Nearest hit").run()
    app.number_input(key="lookalikes.mhz").set_value(float(hit["frequency_mhz"]) + 1e-5).run()
    assert not app.exception
    assert f"Hit {hit['hit_id']}" in sent(app)
    assert "-0.010 kHz" in sent(app)


def test_what_a_scan_holds_at_a_frequency_is_searched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = make_survey(tmp_path / "s", n_hits=30)
    power = np.ones((32, 4096), np.float32) + np.arange(32, dtype=np.float32)[:, None]
    scan = write_scan(tmp_path / "scan.h5", 1, power=power)
    scans = pd.read_parquet(survey / "tables" / "scans.parquet")
    scans.loc[scans["scan_id"] == 2, ["path", "n_time"]] = [f"{scan}", 32]
    scans.to_parquet(survey / "tables" / "scans.parquet")
    app = opened("lookalikes", survey, monkeypatch)
    app.button_group(key="lookalikes.source").set_value("Frequency").run()
    app.selectbox(key="lookalikes.scan").set_value(2).run()
    mhz = FCH1_MHZ + 1000 * FOFF_MHZ
    app.number_input(key="lookalikes.mhz").set_value(mhz).run()
    assert not app.exception
    assert [error.value for error in app.error] == []
    assert f"{mhz:.6f} MHz" in sent(app)
    assert "32 spectra brought to 16 rows" in sent(app)
    assert len(app.dataframe[0].value) > 5
    app.number_input(key="lookalikes.mhz").set_value(1420.0).run()
    assert "SNIPPET_EDGE" in app.error[0].value
    assert f"{tmp_path}" not in app.error[0].value
    scan.unlink()
    app.number_input(key="lookalikes.mhz").set_value(mhz).run()
    assert not app.error  # read before, and kept
    app.number_input(key="lookalikes.mhz").set_value(mhz + 50 * FOFF_MHZ).run()
    assert not app.exception
    assert "MISSING" in app.error[0].value


def test_what_looks_like_nothing_here_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = make_survey(tmp_path / "s", n_hits=60)
    latents = pd.read_parquet(survey / "tables" / "latents.parquet")
    columns = [name for name in latents if name != "hit_id"]
    # every hit but one points one way in latent space, that one the other
    latents[columns] = np.random.default_rng(0).normal(1, 0.01, (60, len(columns))).astype(np.float32)
    latents.loc[7, columns] = -1.0
    latents.to_parquet(survey / "tables" / "latents.parquet")
    app = opened("lookalikes", survey, monkeypatch, hit=f"{latents['hit_id'].iloc[7]}")
    assert "Nothing in this survey looks like this" in app.warning[0].value
    index = index_of(load(survey))
    cosine = index.columns.T @ index.columns - 2 * np.eye(60)
    usual = latents["hit_id"].iloc[np.unravel_index(cosine.argmax(), cosine.shape)[0]]
    app = opened("lookalikes", survey, monkeypatch, hit=f"{usual}")
    assert not app.warning
    assert "% of random pairs" in app.success[0].value


def test_a_hit_can_be_searched_for_when_the_model_is_gone_but_an_upload_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = make_survey(tmp_path / "s", n_hits=20)
    (survey / "model.safetensors").unlink()
    app = opened("lookalikes", survey, monkeypatch, hit=f"{load(survey).strongest()}")
    assert "CHECKPOINT" in app.error[0].value
    assert len(app.dataframe[0].value) > 5
    app = upload(survey, npy(snippet()), monkeypatch)
    assert "CHECKPOINT" in app.error[0].value
    assert not app.dataframe


def test_a_model_that_did_not_make_the_latents_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = make_survey(tmp_path / "s", n_hits=20)
    other = make_survey(tmp_path / "other", n_hits=20, seed=1)
    for name in ("model.safetensors", "model.json"):
        shutil.copy(other / name, survey / name)
    app = upload(survey, npy(snippet()), monkeypatch)
    assert "MODEL_CHANGED" in app.error[0].value
    assert not app.dataframe


# Uploads

BOMB = np.zeros(30_000_000, np.uint8)
SQUARE = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)  # width, height, and what a pixel is
BAD_UPLOADS = {
    "pickle": (pickle.dumps({"a": 1}), "PICKLE"),
    "object array": (npy(np.array([{"a": 1}] * 4, dtype=object)), "PICKLE"),
    "wrong shape": (npy(np.zeros((16, 255), np.float32)), "SHAPE"),
    "turned": (npy(np.zeros((256, 16), np.float32)), "SHAPE"),
    "nothing but NaN": (npy(np.full((16, 256), np.nan, np.float32)), "NO_FINITE"),
    "constant": (npy(np.ones((16, 256), np.float32)), "NO_VARIANCE"),
    "complex": (npy(np.zeros((16, 256), np.complex64)), "DTYPE"),
    "npz bomb": (npz(a=BOMB), "BOMB"),
    "two arrays": (npz(a=np.zeros(3), b=np.zeros(3)), "SHAPE"),
    "text": (b"frequency,power\n1,2\n", "TYPE"),
    "empty": (b"", "EMPTY"),
    "7 TiB header": (npy(np.zeros((16, 256)))[:128].replace(b"(16, 256)", b"(9999999,)"), "TOO_LARGE"),
    "cut short": (npy(np.zeros((16, 256)))[:-5], "TRUNCATED"),
    "zip of zips": (packed(**{"a.zip": packed(**{"../x.npy": npy(np.zeros((16, 256)))})}), "TYPE"),
    "zip that climbs": (packed(**{"../../x.h5": uploads.HDF5 + bytes(200)}), "TYPE"),
    "tar": (tarred("../../etc/cron.d/x.npy"), "TYPE"),
    "gzip": (gzip.compress(npy(np.zeros((16, 256)))), "TYPE"),
    "huge picture": (b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + SQUARE + bytes(100), "TYPE"),
    "FITS": (b"SIMPLE  =                    T".ljust(2880), "TYPE"),
    "half an HDF5": (uploads.HDF5 + bytes(200), None),
    "half a filterbank": (uploads.SIGPROC + bytes(40), None),
}


@pytest.mark.parametrize("kind", BAD_UPLOADS)
def test_bad_uploads_are_refused_in_one_line_and_the_page_lives_on(
    kind: str, tiny_survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, code = BAD_UPLOADS[kind]
    app = upload(tiny_survey, data, monkeypatch)
    assert len(app.error) == 1
    assert code is None or f"`{code}`" in app.error[0].value
    assert "Traceback" not in app.error[0].value
    assert not app.dataframe
    app.file_uploader[0].set_value(("good.npy", npy(snippet()), "")).run()
    assert not app.error
    assert len(app.dataframe[0].value) == 50


@pytest.mark.parametrize(
    "name",
    [  # Streamlit itself turns away a name with a NUL, and one that does not end as the page asks
        "../../../etc/cron.d/x.npy", "..\\x.npy", "C:\\x.npy", "/abs.npy", "x" * 300 + ".npy",
        "x.h5:stream.npy", "CON.npy", "-rf.npy", "=cmd().npy", "<img src=x onerror=alert(1)>.npy",
        "[x](javascript:alert(1)).npy",
        "a\u202egpj.npy",
    ],
)  # fmt: skip
def test_hostile_upload_names_are_shown_as_text_and_never_used(
    name: str, tiny_survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (npy(snippet()), b"rubbish"):
        text = sent(upload(tiny_survey, data, monkeypatch, name))
        assert is_literal(text)
        assert "x" * 70 not in text


def test_a_large_array_is_refused_by_its_size() -> None:
    with pytest.raises(FileRefused) as refused:
        uploads.snippet_of(npy(np.zeros((600, 1024), np.float32)), "big.npy")
    assert refused.value.code == "TOO_LARGE"


def written(tmp_path: Path, suffix: str, power: np.ndarray, foff_mhz: float = FOFF_MHZ) -> bytes:
    """Return the bytes of an observation that holds `power`."""
    from rrs_core.observe.header import ScanHeader
    from rrs_core.observe.writers import write_fbh5, write_fil

    header = ScanHeader(
        path="", source_name="VOYAGER-1", telescope_id=6, tstart_mjd=57650.78, tsamp_s=18.253611008,
        fch1_mhz=8419.3, foff_mhz=foff_mhz, n_time=16, n_chan=power.shape[1], coarse_width=power.shape[1],
    )  # fmt: skip
    path = tmp_path / f"scan{suffix}"
    (write_fil if suffix == ".fil" else write_fbh5)(path, header, [power.astype(np.float32)])
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".h5", ".fil"])
def test_an_observation_of_one_snippet_is_read_in_a_child_process(suffix: str, tmp_path: Path) -> None:
    power = snippet()
    found = uploads.snippet_of(written(tmp_path, suffix, power), "../../etc/x" + suffix)
    np.testing.assert_allclose(found.power, power, rtol=1e-6)
    assert found.frequency_mhz == pytest.approx(8419.3 + 128 * FOFF_MHZ, abs=1e-9)


def test_the_kind_of_a_file_is_told_by_its_bytes_not_by_its_name(tmp_path: Path) -> None:
    power = snippet()
    for data, name in ((written(tmp_path, ".h5", power), "x.npy"), (npy(power), "x.h5"), (npz(a=power), "x")):
        np.testing.assert_allclose(uploads.snippet_of(data, name).power, power, rtol=1e-6)


def test_a_wider_observation_is_cut_at_the_frequency_given(tmp_path: Path) -> None:
    power = np.random.default_rng(0).chisquare(204, (16, 4096)) / 204
    power[:, 1000] += 9
    data = written(tmp_path, ".h5", power)
    with pytest.raises(FileRefused) as refused:
        uploads.snippet_of(data, "x.h5")
    assert refused.value.code == "NO_FREQUENCY"
    found = uploads.snippet_of(data, "x.h5", frequency_mhz=8419.3 + 1000 * FOFF_MHZ)
    assert (found.power.argmax(axis=1) == 128).all()


def test_nothing_is_left_of_an_upload_and_its_name_never_becomes_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", f"{tmp_path / 'private'}")
    (tmp_path / "private").mkdir()
    uploads.snippet_of(written(tmp_path, ".fil", snippet()), "../escaped.h5")
    with pytest.raises(FileRefused) as refused:
        uploads.snippet_of(uploads.HDF5 + b"junk" * 50, "../escaped.h5")
    assert "../escaped.h5" in f"{refused.value}"
    assert "private" not in f"{refused.value}"
    assert not list((tmp_path / "private").iterdir())
    assert not (tmp_path / "escaped.h5").exists()


@pytest.mark.parametrize("name", ["../../../x", "/abs", "a\0b", "x" * 300, "x.h5:stream", "CON", "-rf"])
def test_an_observation_is_read_whatever_its_name(name: str, tmp_path: Path) -> None:
    power = snippet()
    data = written(tmp_path, ".fil", power)
    np.testing.assert_allclose(uploads.snippet_of(data, name).power, power, rtol=1e-6)


def test_an_array_in_columns_is_the_same_snippet() -> None:
    power = snippet().astype(np.float32)
    np.testing.assert_array_equal(uploads.snippet_of(npy(np.asfortranarray(power)), "x.npy").power, power)


def test_of_a_crowd_of_uploads_some_wait_and_the_others_are_asked_to_come_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, reading, done = written(tmp_path, ".fil", snippet()), threading.Event(), threading.Event()
    read = uploads._read

    def slow(*given: object) -> Snippet:
        reading.set()
        done.wait(60)
        return read(*given)

    monkeypatch.setattr(uploads, "_read", slow)
    with ThreadPoolExecutor(40) as pool:
        taken = [pool.submit(uploads.snippet_of, data, "x.fil") for _ in range(uploads.MOST_WAITING)]
        reading.wait(60)
        while uploads._places._value:
            time.sleep(0.01)
        for _ in range(500):
            with pytest.raises(FileRefused, match="try again") as refused:
                uploads.snippet_of(data, "x.fil")
            assert refused.value.code == "BUSY"
        done.set()
        assert all(one.result().power.shape == (16, 256) for one in taken)
    assert uploads.snippet_of(data, "x.fil").power.shape == (16, 256)


def test_a_reader_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(uploads.parse_upload, "__file__", f"{slow}")
    monkeypatch.setattr(uploads, "LONGEST_S", 1.0)
    with pytest.raises(FileRefused) as refused:
        uploads.snippet_of(uploads.HDF5, "x.h5")
    assert refused.value.code == "TIMEOUT"


@pytest.mark.parametrize(
    "crime",
    [
        "import os; os.abort()",
        "import resource; raise SystemExit(3)",
        "import sys; open(sys.argv[2], 'w').write('x' * 3_000_000)",
    ],
)
def test_a_reader_that_dies_or_floods_is_a_refusal_not_the_end_of_the_server(
    crime: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "crime.py"
    script.write_text(crime)
    monkeypatch.setattr(uploads.parse_upload, "__file__", f"{script}")
    with pytest.raises(FileRefused) as refused:
        uploads.snippet_of(uploads.HDF5, "x.h5")
    assert refused.value.code == "CRASHED"


def test_the_reader_runs_under_limits_and_without_our_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reader's own main(), with a reader of files that tells what it runs under."""
    spy, told = tmp_path / "spy.py", tmp_path / "told.json"
    limits = {int(which): most for which, most in uploads.parse_upload.LIMITS.items()}
    spy.write_text(
        "import json, os, resource, runpy, sys\n"
        f"sys.path.insert(0, {f'{ROOT}'!r})\n"
        "from rrs_core.errors import RRSError\n"
        "from rrs_core.observe import snippetfiles\n"
        "def tell(*_, **__):\n"
        f"    limits = {{which: resource.getrlimit(which) for which in {list(limits)}}}\n"
        f"    with open({f'{told}'!r}, 'w') as out:\n"
        "        json.dump({'limits': limits, 'environment': dict(os.environ)}, out)\n"
        "    raise RRSError('SPY', 'seen')\n"
        "snippetfiles.read_snippet = tell\n"
        f"runpy.run_path({uploads.parse_upload.__file__!r}, run_name='__main__')\n"
    )
    monkeypatch.setenv("SECRET_OF_OURS", "1")
    monkeypatch.setattr(uploads.parse_upload, "__file__", f"{spy}")
    with pytest.raises(FileRefused) as refused:
        uploads.snippet_of(uploads.HDF5, "x.h5")
    assert refused.value.code == "SPY"
    seen = json.loads(told.read_text())
    assert "SECRET_OF_OURS" not in seen["environment"]
    assert seen["environment"]["HDF5_PLUGIN_PRELOAD"] == "::"
    assert {int(which): tuple(most) for which, most in seen["limits"].items()} == {
        which: (most, most) for which, most in limits.items()
    }
    assert limits[resource.RLIMIT_AS] == 2 * 2**30


# The map


def test_selected_ids_are_read_from_the_points_not_from_their_places() -> None:
    points = [
        {"point_index": 0, "customdata": {"0": 90000023808.0, "1": 1420.1}},
        {"point_index": 1, "customdata": [20000000001, 1420.2]},
        {"point_index": 2, "customdata": 7.0},
        {"point_index": 3},
        {"point_index": 4, "customdata": ["x"]},
        {"point_index": 5, "customdata": [7, 1.0]},
    ]
    assert hitmap.selected_ids({"selection": {"points": points}}) == [90000023808, 20000000001, 7]
    assert hitmap.selected_ids({}) == []


def test_every_column_that_varies_can_colour_the_map(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("map", tiny_survey, monkeypatch)
    options = app.selectbox(key="map.colour").options
    assert {"ON / OFF", "Target", "Cadence", "SNR [1]", "Frequency [MHz]"} <= set(options)
    assert not [option for option in options if "Drift" in option]  # empty in this survey
    for column in ("cadence", "snr", "target"):
        app.selectbox(key="map.colour").set_value(column).run()
        assert not app.exception
        assert app.query_params["colour"] == column


@pytest.mark.parametrize("drawn", ["auto", "webgl", "plotly", "picture"])
@pytest.mark.parametrize("view", ["latents", "latents-pca", "sky"])
def test_every_view_is_drawn_in_every_way(
    view: str, drawn: str, tiny_survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("map", tiny_survey, monkeypatch, view=view, drawn=drawn)
    assert app.selectbox(key="map.view").value == view
    assert app.selectbox(key="map.drawn").value == drawn
    assert "240 of 240 hits" in sent(app)


def test_what_an_address_says_of_no_view_counts_for_nothing(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("map", tiny_survey, monkeypatch, view="tsne", colour="<b>", drawn="ink", selection="../x", hit="9")
    assert app.selectbox(key="map.view").value == "latents"
    assert app.selectbox(key="map.drawn").value == "auto"
    assert "no id of a selection" in sent(app)
    assert "There is no hit 9" in sent(app)


def test_a_large_selection_captions_the_tiles_of_its_page_and_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_survey(tmp_path / "many", n_hits=120)
    told: list[int] = []
    monkeypatch.setattr(mapselection, "caption", lambda row: told.append(row.hit_id) or "x")

    def built(frame: pd.DataFrame) -> bytes:
        raise AssertionError(len(frame))

    monkeypatch.setattr(export, "csv_bytes", built)
    ids = load(root).projection["hit_id"].to_numpy()
    kept = selections.keep(root, ids, person="ada", name="all")
    app = opened("map", root, monkeypatch, selection=kept.selection_id)
    assert f"Selected: {len(ids)} of 120" in sent(app)
    assert len(told) == gallery.PER_PAGE
    frequency = load(root).table.set_index("hit_id")["frequency_mhz"]
    assert told == sorted(ids, key=lambda hit: frequency[hit])[: gallery.PER_PAGE]


def test_a_selection_is_undone_cleared_and_kept_under_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_survey(tmp_path / "kept", n_hits=60)
    ids = load(root).projection["hit_id"].to_numpy()
    kept = selections.keep(root, ids[:7], person="ada", name="seven <b>")
    app = opened("map", root, monkeypatch, selection=kept.selection_id)
    assert "Selected: 7 of 60" in sent(app)
    assert "seven \\<b\\>" in sent(app)
    app.button(key="map.clear").click().run()
    assert "Selected: 0 of 60" in sent(app)
    assert "selection" not in app.query_params
    app.button(key="map.undo").click().run()
    assert "Selected: 7 of 60" in sent(app)
    app.button(key="map.undo").click().run()
    assert "Selected: 0 of 60" in sent(app)
    assert not app.exception


def size(value: object) -> int:
    """Return the bytes of what a session keeps; what a component's answer calls is code."""
    if isinstance(value, dict):
        return sum(size(one) for one in value.values())
    return 0 if callable(value) else len(pickle.dumps(value))


def test_what_a_session_keeps_of_a_map_of_a_million_points_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its selection and all steps of undo, a bit a point each; the points themselves are all sessions' own."""
    n, rng = 1_000_000, np.random.default_rng(0)
    app = opened("map", make_large_survey(tmp_path / "s", n), monkeypatch, drawn="webgl")
    version = loaders.digest_of(load(tmp_path / "s"))
    steps = [(version, np.packbits(rng.random(n) < 0.5).tobytes()) for _ in range(mapstate.MOST_STEPS + 1)]
    app.session_state[mapstate.SELECTED], app.session_state[mapstate.BEFORE] = steps[0], steps[1:]
    app.run()
    assert not app.exception
    assert re.search(r"Selected: [45]\d\d,\d\d\d of 1,000,000", sent(app))
    kept = {name: size(value) for name, value in app.session_state._state.filtered_state.items()}
    assert 2_000_000 < sum(kept.values()) <= 10_000_000


def test_the_map_has_the_names_that_people_gave_to_superclusters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = SimpleNamespace(named=True, placed=SimpleNamespace(view=SimpleNamespace(name="latents")))
    monkeypatch.setattr(mapdata, "names", lambda *_: [("0", 1.0, 2.0), ("3", 5.0, 6.0)])
    monkeypatch.setattr(mapwebgl.cluster_names, "by_cluster", lambda _: {3: "GPS L1"})
    assert mapwebgl._names(None, asked) == (("0", 1.0, 2.0), ("GPS L1", 5.0, 6.0))

    def damaged(_: object) -> dict[int, str]:
        raise RRSError("LABELS", "the labels cannot be used")

    monkeypatch.setattr(mapwebgl.cluster_names, "by_cluster", damaged)
    assert mapwebgl._names(None, asked) == (("0", 1.0, 2.0), ("3", 5.0, 6.0))


def test_the_map_is_coloured_and_filtered_by_what_people_say_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_survey(tmp_path / "s", n_hits=20)
    ids, store = load(root).hits["hit_id"].tolist(), Labels(root / FILE)
    app = opened("map", root, monkeypatch)
    assert "Label" not in app.selectbox(key="map.colour").options

    def groups() -> set[str]:
        (figure,) = [json.loads(one.proto.spec) for one in app.get("plotly_chart")]
        return {trace["name"] for trace in figure["data"]}

    for person, hit, label in (("ada", 0, "noise"), ("ada", 1, "noise"), ("bob", 1, "unsure")):
        store.add(person, ids[hit], label)
    app.run()
    app.selectbox(key="map.colour").set_value("label").run()
    assert groups() == {"noise (1)", "people differ (1)", "not labelled (18)"}
    store.add("bob", ids[1], "noise")
    app.run()
    assert groups() == {"noise (2)", "not labelled (18)"}
    app.multiselect(key="hits.label").set_value(["noise"]).run()
    assert groups() == {"noise (2)", "not labelled (0)"}
    (root / FILE).write_bytes(b"junk")
    app.run()
    assert len(app.error) == 1
    assert "20 of 20 hits" in sent(app)


def test_a_large_map_states_its_sample(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapdrawn, "MOST_PLOTLY", 100)
    assert "Plotly draws 100 of 240 points" in sent(opened("map", tiny_survey, monkeypatch, drawn="plotly"))
    monkeypatch.setattr(mapsample, "MOST_DRAWN", 90)
    st.cache_resource.clear()
    shown = sent(opened("map", tiny_survey, monkeypatch, drawn="picture"))
    assert "240 of 240 hits" in shown
    assert "of 240 hits drawn; a selection takes all." in shown
    st.cache_resource.clear()


def test_views_and_colours_of_a_large_map_are_made_before_anybody_asks(
    tiny_survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, painted, made = [], [], threading.Event()
    view, paint, make = views.view, mapdata.paint, mapahead._make
    monkeypatch.setattr(mapahead, "LARGE", 100)
    monkeypatch.setattr(mapahead, "_make", lambda *given: (make(*given), made.set()))
    monkeypatch.setattr(views, "view", lambda found, name: (placed.append(name), view(found, name))[1])
    monkeypatch.setattr(mapdata, "paint", lambda by, **how: (painted.append(by.title), paint(by, **how))[1])
    st.cache_resource.clear()
    app = opened("map", tiny_survey, monkeypatch)
    assert made.wait(60)
    boxes = {box.label: box.options for box in app.selectbox}
    assert len(placed) == len(set(placed)) == len(boxes["View"]) > 1
    assert len(painted) == len(set(painted)) == len(boxes["Colour by"]) > 1
    st.cache_resource.clear()


# The settings that the server runs under


def test_the_server_listens_to_this_machine_only_and_tells_nobody_anything() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    server = settings["server"]
    assert server["address"] == "127.0.0.1"
    assert server["allowedHosts"] == ["127.0.0.1", "localhost"]
    assert server["enableCORS"]
    assert server["enableXsrfProtection"]
    assert not server["enableStaticServing"]
    assert not server["enableAgentApi"]
    assert server["maxUploadSize"] == uploads.LARGEST_UPLOAD_MB
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["client"]["disableDataExport"]
    assert not settings["browser"]["gatherUsageStats"]


def test_every_setting_is_one_that_streamlit_knows_and_is_explained() -> None:
    from streamlit import config

    lines = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8").splitlines()
    section = ""
    for line in lines:
        if line.startswith("["):
            section = line.strip("[]")
        elif " = " in line and not line.startswith("#"):
            assert f"{section}.{line.split(' = ')[0]}" in config.get_config_options(), line
            assert section.startswith("theme") or "  # " in line or " # " in line, line


def test_npz_bomb_fixture_is_small_on_the_wire() -> None:
    assert len(BAD_UPLOADS["npz bomb"][0]) < 100_000
    with zipfile.ZipFile(io.BytesIO(BAD_UPLOADS["npz bomb"][0])) as archive:
        assert archive.infolist()[0].file_size > 2**21
