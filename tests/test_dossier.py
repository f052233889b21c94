"""The file about one hit: complete, standing alone, and harmless whatever the names in it are."""

from __future__ import annotations

import base64
import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from make_event import make_event
from PIL import Image
from test_pages_events import HOSTILE, Made

from rrs_core import dossier
from rrs_core.describe.features import FEATURES, title
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.survey.catalogue import load
from rrs_core.survey.labels import FILE, Labels
from rrs_core.survey.store import Store

VOID = {"meta", "img", "br", "image", "line", "rect", "polyline"}
FETCHING = {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio", "use"}


class Page(HTMLParser):
    """What a browser would make of a file: its text, its tags, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and what it would fetch."""
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
                (self.pictures if f"{value}".startswith("data:image/png;base64,") else self.links).append(f"{value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that holds nothing."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Fail unless the last tag that was opened is closed."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text, but that of the style."""
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def stands_alone(text: str) -> Page:
    """Fail unless a page is well formed and neither runs nor fetches anything; return it."""
    page = Page(text)
    assert not page.open
    assert not set(page.tags) & FETCHING
    assert not page.links
    assert not re.search(
        r"https?:|javascript:\S|url\((?!#)|@import", re.sub(r"&\w+;", "", text).replace(HOSTILE[1], "")
    )
    for picture in page.pictures:
        Image.open(io.BytesIO(base64.b64decode(picture.split(",", 1)[1]))).verify()
    return page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_event(tmp_path_factory.mktemp("dossier") / "survey", features=True)


def test_it_holds_all_that_is_known_of_an_event(made: Made) -> None:
    hit = made.event[0]
    people = Labels(made.root / FILE)
    people.add("ada", hit, "unsure", at=datetime(2026, 1, 1, tzinfo=UTC))
    people.add("ada", hit, "interesting", "look & see <again>", at=datetime(2026, 1, 2, tzinfo=UTC))
    people.add("bob", made.event[1], "noise")
    survey = load(made.root)
    page = stands_alone(dossier.page(dossier.gather(survey, hit), datetime(2026, 2, 3, 4, 5, tzinfo=UTC)))
    text = " ".join(page.words)
    row = survey.features.set_index("hit_id").loc[hit]
    for name in FEATURES:
        assert title(name) in text
        below = 100 * (survey.features[name] < row[name]).mean()
        above = 100 * (survey.features[name] <= row[name]).mean()
        assert f"above {(below + above) / 2:.1f} % of hits" in text
    for words in (
        f"Hit {hit}", "position 0", "An anomaly", "Candidate 3: event", "in 3 of 3 ON scans, none of 3 OFF scans",
        "interesting", "unsure (before)", "look & see <again>", "2026-01-02 00:00:00", "ada", "2026-02-03 04:05 UTC",
        f"rrs export survey hit --hit {hit} --out hit_{hit}.html", "survey.toml, sha256", "stage events", "rrs 0.1.0",
        "Other bands", "Time in the scan [min]", "MHz [Hz]", "σ above the median",
    ):  # fmt: skip
        assert words in text, words
    assert "bob" not in text
    assert page.tags.count("polyline") == 12  # two lines of the track in each of six scans
    assert page.tags.count("image") == 6 + 1  # and the bar of colours
    assert len(page.pictures) > 7 + 6


def test_hostile_names_and_words_are_text(tmp_path: Path) -> None:
    found = make_event(tmp_path / "survey", names=HOSTILE)
    hit = found.event[0]
    evil = "</td><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>"
    Labels(found.root / FILE).add(evil[:200], hit, evil[:60], evil)
    store = Store(found.root)
    events = store.read_table("events").assign(reason=evil)
    store.write_table("events", events)
    page = dossier.page(dossier.gather(load(found.root), hit))
    parsed = Page(page)
    assert not parsed.open
    assert not parsed.links
    assert not set(parsed.tags) & FETCHING
    assert all(picture.startswith("data:image/png;base64,") for picture in parsed.pictures)
    assert HOSTILE[0] in " ".join(parsed.words)
    assert evil in " ".join(parsed.words)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_without_scans_its_snippet_is_shown_and_says_why(tmp_path: Path) -> None:
    found = make_event(tmp_path / "survey")
    for path in found.root.glob("scan*.h5"):
        path.unlink()
    page = stands_alone(dossier.page(dossier.gather(load(found.root), found.event[1])))
    assert page.tags.count("polyline") == 2
    assert "The stored snippet alone" in " ".join(page.words)
    assert "This hit has none." in " ".join(page.words)


def test_the_pixels_are_those_of_the_snippet(tmp_path: Path) -> None:
    """A bright channel of the stored snippet, high to low, is as far from the right as it was from the left."""
    from rrs_core.evidence import snippet_panel
    from rrs_core.figures.stills import panels_svg

    found = make_event(tmp_path / "survey")
    survey = load(found.root)
    drawn = np.load(found.root / "snippets.npy")
    hit = survey.hits.iloc[5]
    drawn[hit["snippet_row"]] = 1
    drawn[hit["snippet_row"], :, 40] = 99
    np.save(found.root / "snippets.npy", drawn)
    panel = snippet_panel(load(found.root), int(hit["hit_id"]))
    assert panel.power is not None
    assert int(panel.power[0].argmax()) == 255 - 40
    expected = survey.snippet_frequencies_mhz(int(hit["hit_id"]))[40] - hit["frequency_mhz"]
    assert panel.offset_hz[255 - 40] == pytest.approx(1e6 * expected, abs=1e-3)
    picture = Page(panels_svg([panel])).pictures[0]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.split(",", 1)[1]))))
    assert pixels.shape == (16, 256, 4)
    assert int(pixels[..., :3].astype(int).sum(axis=2)[3].argmax()) == 255 - 40


def test_it_is_written_whole_or_refused(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "hit.html"
    size = dossier.export_dossier(made.root, made.event[0], out)
    assert out.stat().st_size == size
    stands_alone(out.read_text(encoding="utf-8"))
    with pytest.raises(SettingsRefused, match="a dossier is a page"):
        dossier.export_dossier(made.root, made.event[0], tmp_path / "hit.csv")
    with pytest.raises(SurveyRefused, match="no hit 1 in"):
        dossier.export_dossier(made.root, 1, tmp_path / "one.html")
    assert not (tmp_path / "one.html").exists()
