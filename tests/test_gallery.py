"""What a page of tiles costs, what is marked on them, and what becomes of one that cannot be drawn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from apps import opened
from make_survey import draw_snippet

from pages.components import gallery
from rrs_core import figures
from rrs_core.survey.catalogue import load
from rrs_core.survey.labels import Labels

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

HALF_A_MEGABYTE = 500_000
TABLE = 3 * 256
WIDEST = "\U0001f4e1"  #: four bytes of UTF-8, as long as a character gets


def parts(data: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """Return header and pixels of a page of tiles, read by the description in gallery.js."""
    end = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:end])
    pixels = np.frombuffer(data[end + TABLE * len(header["maps"]) :], np.uint8)
    return header, pixels.reshape(len(header["tiles"]), header["rows"], header["columns"])


def drawn(n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array([draw_snippet("steady line", rng) for _ in range(n)])


def header_of(app: AppTest) -> dict[str, Any]:
    return parts(app.get("bidi_component")[0].proto.bytes)[0]


def test_a_page_is_a_hundred_tiles_in_half_a_megabyte_whatever_the_names_are() -> None:
    assert gallery.PER_PAGE == 100
    ids = [10**15 + place for place in range(100)]
    data = gallery.packed(drawn(100), ids, ["\n".join([WIDEST * 500] * 3)] * 100)
    assert len(data) <= HALF_A_MEGABYTE


def test_pixels_and_every_colour_scale_arrive_as_they_are() -> None:
    data = gallery.packed(drawn(3), [7, 8, 9], ["a", "b", "c"])
    header, pixels = parts(data)
    from rrs_core.describe.snippets import normalise

    np.testing.assert_array_equal(pixels, figures.tile_pixels(normalise(drawn(3), "robust")))
    assert header["maps"] == ["Viridis", "Cividis", "Grey", "Inferno"]
    begin = 4 + int.from_bytes(data[:4], "little")
    for place, name in enumerate(gallery.MAPS):
        table = np.frombuffer(data[begin + TABLE * place : begin + TABLE * (place + 1)], np.uint8).reshape(256, 3)
        np.testing.assert_array_equal(table, figures.colour_table(name))
        light = table @ [0.2126, 0.7152, 0.0722]
        assert light[0] < 40  # dark where the power is low, on either ground
        assert (np.diff(np.convolve(light, np.ones(9) / 9, "valid")) > -0.5).all()


def test_a_snippet_without_a_pixel_is_one_blank_tile_and_no_more() -> None:
    power = drawn(3)
    power[1] = np.nan
    header, pixels = parts(gallery.packed(power, [7, 8, 9], ["a", "b", "c"]))
    assert ["blank" in tile for tile in header["tiles"]] == [False, True, False]
    _, others = parts(gallery.packed(power[[0, 2]], [7, 9], ["a", "c"]))
    np.testing.assert_array_equal(pixels[[0, 2]], others)


def test_a_hit_that_is_gone_keeps_its_place_and_the_others_theirs(tiny_survey: Path) -> None:
    survey = load(tiny_survey)
    first, last = survey.hits["hit_id"].iloc[[0, -1]].tolist()
    power = gallery._snippets(survey, np.array([last, 123, first]))
    np.testing.assert_array_equal(power[[0, 2]], survey.snippets_of([last, first]))
    assert np.isnan(power[1]).all()


def test_marks_do_not_change_the_version_of_the_tiles() -> None:
    plain, _ = parts(gallery.packed(drawn(1), [7], ["a"]))
    marked, _ = parts(gallery.packed(drawn(1), [7], ["a"], marks={"said": {"7": "noise"}, "seen": ["7"]}))
    other, _ = parts(gallery.packed(drawn(1), [8], ["a"]))
    assert plain["version"] == marked["version"] != other["version"]
    assert marked["said"] == {"7": "noise"}


def test_labels_are_those_that_count_and_the_most_frequent_comes_first(tmp_path: Path) -> None:
    labels = Labels(tmp_path / "labels.sqlite")
    labels.add("ada", 7, "noise")
    labels.add("ada", 7, "natural")
    labels.add("bob", 7, "noise")
    labels.add("eve", 7, "noise")
    labels.add("ada", 8, "", "a comment alone")
    labels.add("bob", 9, "unsure")
    labels.take_back("bob")
    labels.add("bob", 7, "interesting", kind="cluster")
    assert gallery.said(labels.rows(), [7, 8, 9, 10]) == {7: "noise / natural"}
    assert gallery.said(labels.rows(), [8]) == {}
    assert gallery.said(labels.rows().iloc[:0], [7]) == {}
    assert isinstance(labels.rows(), pd.DataFrame)


def test_a_label_and_what_was_opened_are_marked_on_the_tile(
    tiny_survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages.components import loaders

    people = Labels(tmp_path / "labels.sqlite")
    monkeypatch.setattr(loaders, "people_said", lambda: people)
    app = opened("lookalikes", tiny_survey, monkeypatch, hit=f"{load(tiny_survey).strongest()}")
    header = header_of(app)
    assert (header["said"], header["seen"]) == ({}, [])
    hit = int(header["tiles"][3]["id"])
    people.add("ada", hit, "interference")
    app.session_state[gallery.SEEN] = frozenset({int(header["tiles"][1]["id"])})
    app.run()
    after = header_of(app)
    assert after["said"] == {f"{hit}": "interference"}
    assert after["seen"] == [header["tiles"][1]["id"]]
    assert after["version"] == header["version"]
