"""Cap'n Proto hits of seticore: built here with the library itself, and Voyager's own where the real data are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import capnp
import numpy as np
import pytest

from benchmarks import real_data
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe import capnpfiles
from rrs_core.observe.hitfiles import read_hit_file

FOFF_MHZ = -2.7939677238464355e-6


@pytest.fixture(scope="module")
def schema() -> object:
    return capnp.load(str(Path(capnpfiles.__file__).with_name("hit.capnp")))


def message(
    schema: object, frequency: float = 1420.25, drift: float = -0.25, snr: float = 33.5, pixels: bool = True
) -> bytes:
    hit = schema.Hit.new_message()  # type: ignore[attr-defined]
    signal = hit.init("signal")
    signal.frequency, signal.driftRate, signal.snr, signal.numTimesteps = frequency, drift, snr, 16
    signal.coarseChannel, signal.index = 3, 700
    if pixels:
        cut = hit.init("filterbank")
        cut.sourceName, cut.fch1, cut.foff, cut.tstart, cut.tsamp = "HIP1", frequency, FOFF_MHZ, 58873.2, 18.253611
        cut.ra, cut.dec, cut.telescopeId, cut.numTimesteps, cut.numChannels = 17.1, 12.2, 6, 16, 4
        cut.coarseChannel, cut.startChannel = 3, 660
        cut.data = [1.0] * 64
    return bytes(hit.to_bytes())


def written(folder: Path, raw: bytes, name: str = "x.hits") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def test_messages_in_a_row_are_hits(schema: object, tmp_path: Path) -> None:
    raw = message(schema) + message(schema, 1421.0, 0.5, 12.0)
    found = read_hit_file(written(tmp_path, raw))
    assert found.dialect == found.detector == "seticore"
    assert found.hits["frequency_mhz"].tolist() == [1420.25, 1421.0]
    assert found.hits["drift_rate_hz_s"].tolist() == [-0.25, 0.5]
    assert found.hits["snr"].tolist() == [33.5, 12.0]
    header = next(iter(found.parts()))[0]
    assert (header.source_name, header.tstart_mjd, header.tsamp_s) == ("HIP1", 58873.2, 18.253611)
    assert header.foff_mhz == pytest.approx(FOFF_MHZ)


def test_the_content_tells_and_not_the_name(schema: object, tmp_path: Path) -> None:
    assert len(read_hit_file(written(tmp_path, message(schema), "x.dat")).hits) == 1


def test_the_same_hit_twice_is_one(schema: object, tmp_path: Path) -> None:
    found = read_hit_file(written(tmp_path, 3 * message(schema)))
    assert len(found.hits) == 1
    assert (found.report.rows, found.report.duplicates) == (3, 2)


def test_a_last_message_that_is_cut_off_is_put_aside_and_the_others_stay(schema: object, tmp_path: Path) -> None:
    raw = message(schema) + message(schema, 1421.0)
    found = read_hit_file(written(tmp_path, raw[:-40]))
    assert found.hits["frequency_mhz"].tolist() == [1420.25]
    assert len(found.report.quarantined) == 1


@pytest.mark.parametrize("snr", [np.nan, np.inf])
def test_a_hit_that_is_not_finite_is_put_aside(snr: float, schema: object, tmp_path: Path) -> None:
    found = read_hit_file(written(tmp_path, message(schema, 1421.0) + message(schema, snr=snr)))
    assert found.hits["frequency_mhz"].tolist() == [1421.0]
    assert found.report.quarantined[0][1] == "NOT_FINITE"


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xff\xff\xff" + b"\xff" * 12,  # 4 thousand million segments
        b"\0\0\0\0\xff\xff\xff\x7f" + b"\0" * 8,  # one of 16 GiB
    ],
)
def test_sizes_that_cannot_be_are_refused_without_reading_on(head: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        read_hit_file(written(tmp_path, head + b"\0" * 64))


def test_bytes_turned_over_never_raise_anything_but_a_refusal(schema: object, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    raw = np.frombuffer(message(schema) + message(schema, 1421.0), np.uint8)
    for _ in range(200):
        bad = raw.copy()
        bad[rng.integers(0, len(bad), 4)] = rng.integers(0, 256, 4)
        try:
            found = read_hit_file(written(tmp_path, bad.tobytes()))
        except FileRefused:
            continue
        assert np.isfinite(found.hits["frequency_mhz"]).all()


def test_targets_that_all_point_to_the_same_scans_are_not_read_over_and_over(schema: object, tmp_path: Path) -> None:
    """A small file that unfolds to 400 times its scan: words are counted as they are visited."""
    root, n = schema.Cadence.new_message(), 400  # type: ignore[attr-defined]
    targets = root.init("observations", n)
    set_scan(targets[0].init("scans", 1)[0], hits=10)
    words = np.frombuffer(bytes(root.to_bytes()), "<u8").copy()
    assert words[0] >> 32 == len(words) - 1  # one segment
    body = words[1:]  # after the table of segments; word 0 points to the root, whose one pointer is to the targets
    first = 1 + 1 + (int(body[1] & 0xFFFFFFFF) >> 2) + 1  # behind the list's tag: one pointer a target
    offset, rest = int(body[first] & 0xFFFFFFFF) >> 2, int(body[first] >> 32)
    for k in range(1, n):
        body[first + k] = rest << 32 | (offset - k) << 2 & 0xFFFFFFFF | 1
    assert len(read_hit_file(written(tmp_path, bliss_message(schema, "Cadence", 20), "sound.hits")).hits) == 240
    with pytest.raises(FileRefused) as refused:
        read_hit_file(written(tmp_path, words.tobytes()))
    assert "limit" in str(refused.value)


def test_voyagers_five_hits_are_as_seticore_computed_them() -> None:
    folder = real_data.real_data()
    if folder is None:
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    found = read_hit_file(folder / "gbt_voyager1_57650.hits")
    with np.load(folder / real_data.VOYAGER, allow_pickle=False) as cut:
        for column, word in (("frequency_mhz", "freq"), ("drift_rate_hz_s", "drift"), ("snr", "snr")):
            truth = sorted(float(cut[f"{hit}_{word}"]) for hit in real_data.HITS)
            assert sorted(found.hits[column]) == pytest.approx(truth, rel=1e-9), column
        header = next(iter(found.parts()))[0]
        assert header.tstart_mjd == pytest.approx(float(cut["h1_tstart"]), abs=1e-9)


# bliss: hits without pixels, or one message that holds a scan, a target or a cadence.


def set_signal(signal: object, k: int = 0) -> None:
    words = {"frequency": 1420.25 + k, "index": 100 + k, "driftRate": 0.25, "snr": 12.5 + k, "durationSeconds": 292.0}
    for name, value in {**words, "bandwidth": 5.5, "binwidth": 2.0, "startTime": 5e9}.items():
        setattr(signal, name, value)


def set_header(md: object, coarse: int = 0, source: str = "HIP1") -> None:
    words = {"fch1": 1421.0, "foff": FOFF_MHZ, "tstart": 58873.25, "tsamp": 18.25, "numTimesteps": 16}
    for name, value in {**words, "sourceName": source, "coarseChannel": coarse}.items():
        setattr(md, name, value)


def set_scan(scan: object, source: str = "HIP1", hits: int = 2) -> None:
    """Two coarse channels, 1 and 2, with hits 0, 1 and 10, 11."""
    set_header(scan.md, source=source)  # type: ignore[attr-defined]
    for c, coarse in enumerate(scan.init("coarseChannels", 2)):  # type: ignore[attr-defined]
        set_header(coarse.md, c + 1, source)
        for k, signal in enumerate(coarse.init("hits", hits)):
            set_signal(signal, 10 * c + k)


def bliss_message(schema: object, kind: str, hits: int = 2) -> bytes:
    root = getattr(schema, kind).new_message()
    if kind == "Hit":
        set_signal(root.signal)
    elif kind == "CoarseChannel":
        set_header(root.md, 3)
        for k, signal in enumerate(root.init("hits", hits)):
            set_signal(signal, k)
    elif kind == "Scan":
        set_scan(root, hits=hits)
    elif kind == "ObservationTarget":
        for k, scan in enumerate(root.init("scans", 3)):
            set_scan(scan, f"HIP{k}", hits)
    else:
        for t, target in enumerate(root.init("observations", 2)):
            for k, scan in enumerate(target.init("scans", 3)):
                set_scan(scan, f"HIP{t}{k}", hits)
    return bytes(root.to_bytes())


@pytest.mark.parametrize(
    ("kind", "scans", "frequencies", "coarse"),
    [
        ("Hit", 1, [1420.25], [None]),
        ("CoarseChannel", 1, [1420.25, 1421.25], [3, 3]),
        ("Scan", 1, [1420.25, 1421.25, 1430.25, 1431.25], [1, 1, 2, 2]),
        ("ObservationTarget", 3, [1420.25, 1421.25, 1430.25, 1431.25] * 3, [1, 1, 2, 2] * 3),
        ("Cadence", 6, [1420.25, 1421.25, 1430.25, 1431.25] * 6, [1, 1, 2, 2] * 6),
    ],
)
def test_bliss_messages_are_read_whatever_their_root(
    kind: str, scans: int, frequencies: list[float], coarse: list[int | None], schema: object, tmp_path: Path
) -> None:
    found = read_hit_file(written(tmp_path, bliss_message(schema, kind), "x.capnp"))
    assert found.dialect == found.detector == "bliss"
    assert found.hits["frequency_mhz"].tolist() == frequencies
    assert (
        found.hits["coarse_channel"].astype(object).where(found.hits["coarse_channel"].notna(), None).tolist() == coarse
    )
    assert found.hits["channel"].tolist() == [int(f - 1420.25) + 100 for f in frequencies]
    assert [len(hits) for _, hits in found.parts()] == [len(frequencies) // scans] * scans
    assert any(f"read as {kind}" in note for note in found.report.notes) == (kind != "Hit")
    if kind == "Cadence":
        assert [header.source_name for header in found.headers] == [
            "HIP00",
            "HIP01",
            "HIP02",
            "HIP10",
            "HIP11",
            "HIP12",
        ]
        assert {header.obs_length_s for header in found.headers} == {292.0}


@pytest.mark.parametrize("kind", ["CoarseChannel", "Scan", "ObservationTarget", "Cadence"])
def test_a_scan_without_hits_gives_its_header_and_none_made_up(kind: str, schema: object, tmp_path: Path) -> None:
    """A coarse channel's header has its start time where a hit has its drift rate."""
    found = read_hit_file(written(tmp_path, bliss_message(schema, kind, hits=0), "x.capnp"))
    assert found.hits.empty
    assert found.headers[0].tstart_mjd == 58873.25
    root = schema.CoarseChannel.new_message()  # type: ignore[attr-defined]
    set_header(root.md, 3)  # no list at all, not even an empty one
    assert read_hit_file(written(tmp_path, root.to_bytes())).hits.empty


@pytest.mark.parametrize("root", ["Stamp", "Event", "Empty"])
def test_messages_of_another_kind_are_refused(root: str, tmp_path: Path) -> None:
    """Files `.stamps` and `.events` of seticore hold no hits of this kind (interop facts, section 6.1)."""
    text = """@0xd5c1bd2c0a9d4d11;
struct Stamp { sourceName @0 :Text; fch1 @1 :Float64; foff @2 :Float64; tstart @3 :Float64; data @4 :List(Float32); }
struct Signal { frequency @0 :Float64; index @1 :Int32; driftSteps @2 :Int32; driftRate @3 :Float64; snr @4 :Float32; }
struct Hit { signal @0 :Signal; filterbank @1 :Signal; }
struct Event { hits @0 :List(Hit); }
struct Empty { one @0 :Text; other @1 :Text; }
"""
    (tmp_path / "other.capnp").write_text(text)
    other = getattr(capnp.SchemaParser().load(str(tmp_path / "other.capnp")), root).new_message()
    if root == "Stamp":
        other.sourceName, other.fch1, other.foff, other.tstart, other.data = (
            "HIP1",
            1421.0,
            FOFF_MHZ,
            58873.25,
            [1.0] * 9,
        )
    if root == "Event":
        for hit in other.init("hits", 3):
            hit.signal.frequency, hit.signal.snr = 1420.25, 20
    with pytest.raises(FileRefused) as refused:
        read_hit_file(written(tmp_path, other.to_bytes()))
    assert refused.value.code == "FORMAT"


def test_a_damaged_message_in_the_middle_costs_itself_only(schema: object, tmp_path: Path) -> None:
    parts = [message(schema, 1420.0 + k) for k in range(3)]
    bad = bytearray(parts[1])
    bad[8:16] = b"\xff" * 8  # the root pointer
    found = read_hit_file(written(tmp_path, parts[0] + bytes(bad) + parts[2]))
    assert found.hits["frequency_mhz"].tolist() == [1420.0, 1422.0]
    assert [(number, code) for number, code, _ in found.report.quarantined] == [(2, "CORRUPT")]
    assert found.report.rows == 3


def test_a_first_message_that_is_cut_off_is_refused_as_such(schema: object, tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read_hit_file(written(tmp_path, message(schema)[:-8]))
    assert refused.value.code == "TRUNCATED"


def test_a_scan_that_was_looked_at_without_finding_anything_has_no_hits(schema: object, tmp_path: Path) -> None:
    hit = schema.Hit.new_message()  # type: ignore[attr-defined]
    set_header(hit.filterbank)
    found = read_hit_file(written(tmp_path, hit.to_bytes()))
    assert found.hits.empty
    assert found.headers[0].source_name == "HIP1"


@pytest.mark.parametrize(("start", "coarse", "known"), [(0, 0, False), (660, 0, True), (660, 3, True), (0, 3, True)])
def test_a_channel_counted_from_the_cutout_is_not_taken_for_one_of_the_coarse_channel(
    start: int, coarse: int, known: bool, schema: object, tmp_path: Path
) -> None:
    hit = schema.Hit.new_message()  # type: ignore[attr-defined]
    set_header(hit.filterbank, coarse)
    hit.filterbank.startChannel = start
    hit.signal.index, hit.signal.snr, hit.signal.frequency = start + 40, 20, 1421.0 + 40 * FOFF_MHZ
    hits = read_hit_file(written(tmp_path, hit.to_bytes())).hits
    assert hits["channel"].notna().tolist() == hits["coarse_channel"].notna().tolist() == [known]


def test_without_the_library_the_way_to_get_it_is_told(
    schema: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, message(schema))
    monkeypatch.setitem(sys.modules, "capnp", None)
    capnpfiles._library.cache_clear()
    with pytest.raises(SettingsRefused, match=r"pip install pycapnp==2\.2\.4") as refused:
        read_hit_file(path)
    assert refused.value.code == "NO_PYCAPNP"


def test_another_schema_of_the_same_id_may_be_loaded_before(schema: object, tmp_path: Path) -> None:
    """In a process of its own: the library ends the one in which it sees an id twice."""
    copy = tmp_path / "hit.capnp"
    copy.write_bytes(Path(capnpfiles.__file__).with_name("hit.capnp").read_bytes())
    path = written(tmp_path, message(schema))
    code = (
        "import sys, capnp; capnp.load(sys.argv[1]).Hit.new_message()\n"
        "from rrs_core.observe.hitfiles import read_hit_file; print(len(read_hit_file(sys.argv[2]).hits))"
    )
    done = subprocess.run([sys.executable, "-c", code, copy, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


def one_hit(
    schema: object, *, signal: dict[str, float] | None = None, pixels: dict[str, object] | None = None
) -> bytes:
    hit = schema.Hit.new_message()  # type: ignore[attr-defined]
    words: dict[str, float] = {"frequency": 1421.0, "driftRate": 0.5, "snr": 20.0, "numTimesteps": 16, **(signal or {})}
    for name, value in words.items():
        setattr(hit.signal, name, value)
    if pixels is not None:
        set_header(hit.filterbank)
        for name, value in pixels.items():
            setattr(hit.filterbank, name, value)
    return bytes(hit.to_bytes())


@pytest.mark.parametrize(
    ("place", "index", "coarse", "found"),
    [
        ({}, 40, 0, (None, None)),
        ({}, 39, 0, (0, 39)),  # not the column of the pixels, so the channel
        ({}, 500, 0, (0, 500)),
        ({"startChannel": 40}, 40, 0, (0, 40)),
        ({"coarseChannel": 2}, 40, 0, (2, 40)),
        ({}, 40, 3, (3, 40)),
        ({"coarseChannel": 2}, 500, 3, (2, 500)),
    ],
)
def test_a_channel_is_what_signal_and_pixels_say_together(
    place: dict[str, int], index: int, coarse: int, found: tuple[int | None, int | None], schema: object, tmp_path: Path
) -> None:
    signal = {"index": index, "coarseChannel": coarse, "frequency": 1421.0 + 40 * FOFF_MHZ}
    hits = read_hit_file(written(tmp_path, one_hit(schema, signal=signal, pixels=place))).hits
    assert hits["channel"].fillna(-1).tolist() == [-1 if found[1] is None else found[1]]
    assert hits["coarse_channel"].fillna(-1).tolist() == [-1 if found[0] is None else found[0]]


def test_a_track_ends_where_its_drift_takes_it(schema: object, tmp_path: Path) -> None:
    raw = one_hit(schema, pixels={}) + one_hit(schema, signal={"driftRate": -0.5}, pixels={})
    raw += one_hit(schema, signal={"durationSeconds": 100.0}) + one_hit(schema)
    hits = read_hit_file(written(tmp_path, raw)).hits
    assert hits["freq_start_mhz"].tolist() == [1421.0] * 4
    moved_hz = (hits["freq_end_mhz"] - 1421.0) * 1e6  # 292 s of the pixels, 100 s of the signal, not known
    assert moved_hz.tolist()[:3] == pytest.approx([146.0, -146.0, 50.0], abs=1e-3)
    assert np.isnan(moved_hz.iloc[3])


@pytest.mark.parametrize("name", ["power", "incoherentPower", "beam", "driftSteps", "numTimesteps"])
def test_hits_that_differ_in_any_field_are_two(name: str, schema: object, tmp_path: Path) -> None:
    raw = one_hit(schema) + one_hit(schema, signal={name: 3}) + one_hit(schema)
    report = read_hit_file(written(tmp_path, raw)).report
    assert (report.rows, report.kept, report.duplicates) == (3, 2, 1)


@pytest.mark.parametrize("name", ["frequency", "driftRate", "snr"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_each_number_of_a_hit_must_be_finite(name: str, value: float, schema: object, tmp_path: Path) -> None:
    # Case 71
    found = read_hit_file(written(tmp_path, one_hit(schema) + one_hit(schema, signal={name: value})))
    assert [(number, code, text) for number, code, text in found.report.quarantined] == [
        (2, "NOT_FINITE", f"{name} is {value}")
    ]
    assert len(found.hits) == 1


def test_a_place_of_zero_is_not_known_and_the_equator_is(schema: object, tmp_path: Path) -> None:
    said = [
        read_hit_file(written(tmp_path, one_hit(schema, pixels=pixels))).header
        for pixels in ({}, {"ra": 5.5}, {"dec": -12.25})
    ]
    assert [(header.ra_text, header.dec_text) for header in said] == [
        (None, None), ("5.500000", "0.000000"), ("0.000000", "-12.250000"),
    ]  # fmt: skip


def test_a_coarse_channel_says_what_its_scan_does_not(schema: object, tmp_path: Path) -> None:
    scan = schema.Scan.new_message()  # type: ignore[attr-defined]
    for k, coarse in enumerate(scan.init("coarseChannels", 2)):
        set_header(coarse.md, k + 1, f"HIP{k}")
        set_signal(coarse.init("hits", 1)[0], k)
    found = read_hit_file(written(tmp_path, scan.to_bytes()))
    assert [header.source_name for header, hits in found.parts() if len(hits)] == ["HIP0", "HIP1"]


@pytest.mark.parametrize(
    ("limit", "value", "code"),
    [("MAX_FILE", 8, "TOO_LARGE"), ("MAX_HITS", 2, "TOO_LARGE"), ("MAX_CORRUPT", 0, "CORRUPT")],
)
def test_more_than_can_be_taken_in_is_refused(
    limit: str, value: int, code: str, schema: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Case 75
    bad = bytearray(one_hit(schema))
    bad[8:16] = b"\xff" * 8
    path = written(tmp_path, b"".join(one_hit(schema, signal={"power": k}) for k in range(3)) + bytes(bad))
    assert len(read_hit_file(path).hits) == 3
    monkeypatch.setattr(capnpfiles, limit, value)
    with pytest.raises(FileRefused) as refused:
        read_hit_file(path)
    assert refused.value.code == code


def test_a_message_that_is_too_large_is_refused_wherever_it_stands(
    schema: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = one_hit(schema), message(schema)
    path = written(tmp_path, small + large)
    monkeypatch.setattr(capnpfiles, "MAX_MESSAGE", len(large) - 8)
    with pytest.raises(FileRefused, match="message 2") as refused:
        read_hit_file(path)
    assert refused.value.code == "TOO_LARGE"
    with pytest.raises(FileRefused) as refused:
        read_hit_file(written(tmp_path, large))
    assert refused.value.code == "TOO_LARGE"
    # A first message of 2 GiB by its own word is none of ours, whatever its root pointer.
    framing = (0).to_bytes(4, "little") + (2**28).to_bytes(4, "little")
    with pytest.raises(FileRefused) as refused:
        read_hit_file(written(tmp_path, framing + large[8:]))
    assert refused.value.code in ("ENCODING", "FORMAT")
