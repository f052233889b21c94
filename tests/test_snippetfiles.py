"""Snippets that somebody hands us: read right, or refused before anything is allocated (reliability facts, case 96)."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rrs_core.errors import FileRefused, RRSError
from rrs_core.observe.filterbank import write_fbh5, write_fil
from rrs_core.observe.header import ScanHeader
from rrs_core.observe.snippetfiles import fit_times, open_stack, read_snippet, snippet_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

FOFF_MHZ = 2.7939677238464355e-6
WRITERS = {".h5": write_fbh5, ".fil": write_fil}


def waterfall(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(100, 0.01, (16, 256))


def npy(array: object, **options: Any) -> bytes:  # noqa: ANN401 - of numpy.save
    out = io.BytesIO()
    np.save(out, array, **options)  # type: ignore[arg-type]
    return out.getvalue()


def header_of(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    """Return the start of a .npy with a header of our own."""
    body = f"{text}\n".encode()
    size = struct.pack("<H" if version == (1, 0) else "<I", len(body))
    return b"\x93NUMPY" + bytes(version) + size + body


def described(shape: str, descr: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (f"{self.canary}", "w")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "<i2", "u1", "i8", ">f4", ">u2"])
def test_every_real_kind_comes_in_as_float32(dtype: str) -> None:
    given = np.round(100 * waterfall()).astype(dtype)
    found = snippet_from_bytes(npy(given), name="a.npy")
    assert found.power.dtype == np.float32
    assert found.power.dtype.isnative
    np.testing.assert_array_equal(found.power, given.astype(np.float32))
    assert found.frequency_mhz is None


def test_column_major_order_comes_in_the_right_way_round() -> None:
    given = waterfall()
    assert b"'fortran_order': True" in npy(np.asfortranarray(given))
    found = snippet_from_bytes(npy(np.asfortranarray(given)), name="a.npy")
    np.testing.assert_array_equal(found.power, given.astype(np.float32))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_npz_with_one_array_is_a_snippet(compression: int) -> None:
    found = snippet_from_bytes(npz({"anything.npy": npy(waterfall())}, compression), name="a.npz")
    np.testing.assert_array_equal(found.power, waterfall().astype(np.float32))


def test_a_file_is_known_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "query.h5"
    path.write_bytes(npy(waterfall()))
    found = read_snippet(path, frequency_mhz=1420.5)
    np.testing.assert_array_equal(found.power, waterfall().astype(np.float32))
    assert found.frequency_mhz == 1420.5


def refusals() -> dict[str, tuple[bytes, str]]:
    """Return bytes that are no snippet, and the code that each is refused with."""
    plain = npy(waterfall())
    nan, holes = np.full((16, 256), np.nan), np.full((16, 256), np.inf)
    header = struct.calcsize("<H")
    return {
        "object dtype": (npy(np.array([[1, "a"], [None, {}]], dtype=object)), "PICKLE"),
        "pickle": (pickle.dumps(waterfall()), "PICKLE"),
        "wrong shape": (npy(np.zeros((256, 16))), "SHAPE"),
        "one row too few": (npy(waterfall()[:15]), "SHAPE"),
        "three axes": (npy(waterfall()[None]), "SHAPE"),
        "flat": (npy(waterfall().ravel()), "SHAPE"),
        "scalar": (npy(np.float64(3)), "SHAPE"),
        "empty array": (npy(np.zeros((0, 256))), "SHAPE"),
        "negative shape": (header_of(described("(-16, -256)")) + bytes(16384), "SHAPE"),
        "7 TiB header": (header_of(described("(1000000000000,)", "'<f8'")), "TOO_LARGE"),
        "7 TiB snippet": (header_of(described("(16, 256, 250000000)", "'<f8'")) + bytes(64), "TOO_LARGE"),
        "overflowing shape": (header_of(described(f"({2**62}, {2**62})")), "TOO_LARGE"),
        "complex": (npy(waterfall().astype("c8")), "DTYPE"),
        "text": (npy(np.full((16, 256), "a")), "DTYPE"),
        "boolean": (npy(waterfall() > 1), "DTYPE"),
        "dates": (npy(np.zeros((16, 256), "M8[s]")), "DTYPE"),
        "structured": (npy(np.zeros((16, 256), [("a", "f4")])), "DTYPE"),
        "nested": (header_of(described("(16, 256)", "('<f4', (2,))")) + bytes(32768), "DTYPE"),
        "truncated data": (plain[:-1], "TRUNCATED"),
        "half": (plain[: len(plain) // 2], "TRUNCATED"),
        "too long": (plain + b"\0", "TRUNCATED"),
        "truncated header": (plain[:40], "TYPE"),
        "magic alone": (plain[:6], "TYPE"),
        "version 9": (plain[:6] + b"\x09\x00" + plain[8:], "TYPE"),
        "header of code": (header_of("__import__('os').system('true')") + bytes(99), "TYPE"),
        "header is a list": (header_of("[1, 2]"), "TYPE"),
        "deep header": (header_of("(" * 9000 + ")" * 900, (2, 0)), "TYPE"),
        "endless header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(100), "TYPE"),
        "unknown dtype": (header_of(described("(16, 256)", "'<q9'")) + bytes(16384), "TYPE"),
        "NaN only": (npy(nan), "NO_FINITE"),
        "infinite only": (npy(holes), "NO_FINITE"),
        "constant": (npy(np.full((16, 256), 7)), "NO_VARIANCE"),
        "zeros": (npy(np.zeros((16, 256))), "NO_VARIANCE"),
        "constant but for NaN": (npy(np.where(np.eye(16, 256) > 0, np.nan, 3.0)), "NO_VARIANCE"),
        "no variance in float32": (npy(1e12 + waterfall()), "NO_VARIANCE"),
        "empty npz": (npz({}), "TYPE"),
        "npz of two": (npz({"a.npy": plain, "b.npy": plain}), "SHAPE"),
        "npz without npy": (npz({"a.txt": plain}), "TYPE"),
        "npz bomb": (npz({"a.npy": header_of(described("(200000000,)", "'u1'")) + bytes(200_000_000)}), "BOMB"),
        "npz of a pickle": (npz({"a.npy": npy(np.array([{}], object))}), "PICKLE"),
        "npz of text": (npz({"a.npy": b"hello"}), "TYPE"),
        "npz cut short": (npz({"a.npy": plain})[:-30], "TYPE"),
        "plain text": (b"hello, this is no array", "TYPE"),
        "png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "TYPE"),
        "nothing": (b"", "TYPE"),
        "too large": (plain + bytes(2**21 + header), "TOO_LARGE"),
    }


REFUSALS = refusals()


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_no_snippet_is_refused_with_its_code(name: str) -> None:
    data, code = REFUSALS[name]
    with pytest.raises(FileRefused) as refused:
        snippet_from_bytes(data, name="query.npy")
    assert refused.value.code == code, f"{refused.value}"
    assert "query.npy" in f"{refused.value}"


@pytest.mark.parametrize("name", ["7 TiB header", "7 TiB snippet", "npz bomb", "endless header", "overflowing shape"])
def test_a_small_file_cannot_ask_for_much_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "query.npy"
    path.write_bytes(REFUSALS[name][0])
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused):
            read_snippet(path)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    payload = pickle.dumps(Payload(canary))
    array = npy(np.array([Payload(canary)], dtype=object), allow_pickle=True)
    for data in (payload, array, npz({"a.npy": array}), npz({"a.pkl": payload})):
        path = tmp_path / "query.npy"
        path.write_bytes(data)
        for read in (read_snippet, open_stack):
            with pytest.raises(FileRefused):
                read(path)  # type: ignore[operator]
    assert not canary.exists()
    pickle.loads(payload).close()  # the payload is a real one
    assert canary.exists()


def test_an_npz_whose_bytes_are_damaged_is_refused() -> None:
    """Every sixth byte of a compressed archive changed in turn: a refusal or the right array, never a traceback."""
    whole = npz({"a.npy": npy(np.round(waterfall() * 100).astype("u1"))})
    right = np.round(waterfall() * 100).astype(np.float32)
    for at in range(0, len(whole), 6):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        try:
            found = snippet_from_bytes(bytes(damaged), name="a.npz")
        except RRSError:
            continue
        np.testing.assert_array_equal(found.power, right)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_to_other_compressions_is_refused_too(compression: int) -> None:
    whole = npz({"a.npy": npy(waterfall())}, compression)
    for at in range(60, len(whole) // 2, 997):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        with pytest.raises(FileRefused):
            snippet_from_bytes(bytes(damaged), name="a.npz")


def test_a_damaged_npy_header_is_refused_or_read_right() -> None:
    whole = npy(waterfall().astype(np.float32))
    for at in range(128):
        for value in (0, 0x20, 0x7F, 0xFF):
            damaged = bytearray(whole)
            damaged[at] = value
            try:
                found = snippet_from_bytes(bytes(damaged), name="a.npy")
            except RRSError:
                continue
            assert found.power.shape == (16, 256)


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e38, -1e300, 1e-40])
def test_powers_beyond_float32_keep_their_shape(scale: float) -> None:
    given = waterfall() * scale
    found = snippet_from_bytes(npy(given), name="a.npy").power
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found / np.abs(found).max(), given / np.abs(given).max(), rtol=1e-6)


def test_the_whole_range_of_float64_in_one_snippet_is_read_without_a_warning() -> None:
    given = np.where(np.eye(16, 256) > 0, -1.7e308, 1.7e308)
    found = snippet_from_bytes(npy(given), name="a.npy").power
    assert set(np.unique(found)) == {-1, 1}
    wide = waterfall().astype(np.longdouble) * np.longdouble("1e4000") + np.longdouble(1) * (np.eye(16, 256) > 0)
    with pytest.raises(FileRefused):
        snippet_from_bytes(npy(wide), name="a.npy")


def test_some_pixels_that_are_no_numbers_stay_for_the_normalisation_to_fill() -> None:
    given = waterfall()
    given[3, 7:9] = np.nan, np.inf
    found = snippet_from_bytes(npy(given), name="a.npy").power
    np.testing.assert_array_equal(found, given.astype(np.float32))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "NOT_REGULAR_FILE"), (tmp_path / "absent.npy", "MISSING")):
        with pytest.raises(FileRefused) as refused:
            read_snippet(path)
        assert refused.value.code == code
    (tmp_path / "empty.npy").touch()
    with pytest.raises(FileRefused) as refused:
        read_snippet(tmp_path / "empty.npy")
    assert refused.value.code == "EMPTY"


# Stacks


def test_a_stack_is_a_read_only_memory_map(tmp_path: Path) -> None:
    given = np.stack([waterfall(seed) for seed in range(3)])
    np.save(tmp_path / "stack.npy", given)
    stack = open_stack(tmp_path / "stack.npy")
    assert isinstance(stack, np.memmap)
    assert not stack.flags.writeable
    np.testing.assert_array_equal(stack, given)


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros((16, 256)), "SHAPE"),
        (np.zeros((2, 16, 255)), "SHAPE"),
        (np.zeros((0, 16, 256)), "SHAPE"),
        (np.zeros((1, 16, 256), ">f4"), "DTYPE"),
        (np.zeros((1, 16, 256), "c8"), "DTYPE"),
        (np.array([{}], object), "PICKLE"),
    ],
)
def test_a_stack_of_something_else_is_refused(array: NDArray[Any], code: str, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", array, allow_pickle=True)
    with pytest.raises(FileRefused) as refused:
        open_stack(tmp_path / "stack.npy")
    assert refused.value.code == code


def test_a_stack_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stack.npy").write_bytes(header_of(described("(1000000, 16, 256)")) + bytes(1000))
    with pytest.raises(FileRefused) as refused:
        open_stack(tmp_path / "stack.npy")
    assert refused.value.code == "TRUNCATED"


# Observations


def header(**changes: Any) -> ScanHeader:  # noqa: ANN401 - fields of a header
    fields: dict[str, Any] = {
        "path": "",
        "source_name": "TEST",
        "telescope_id": 6,
        "tstart_mjd": 57650.0,
        "tsamp_s": 18.253611008,
        "fch1_mhz": 8420.0,
        "foff_mhz": -FOFF_MHZ,
        "n_time": 16,
        "n_chan": 4096,
        "coarse_width": 4096,
    }
    return ScanHeader(**(fields | changes))


def sky(n_time: int = 16, n_chan: int = 4096) -> NDArray[np.float32]:
    """Return noise from high to low frequency with a bright channel at column 1500 and a ramp of time in it."""
    power = np.random.default_rng(1).gamma(100, 0.01, (n_time, n_chan)).astype(np.float32)
    power[:, 1500] += np.arange(n_time, dtype=np.float32)
    return power


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_scan_is_cut_at_a_frequency_with_the_signal_in_the_middle(suffix: str, tmp_path: Path) -> None:
    path, frequency = tmp_path / f"scan{suffix}", 8420.0 - 1500 * FOFF_MHZ
    WRITERS[suffix](path, header(), [sky()])
    found = read_snippet(path, frequency_mhz=frequency + 0.3 * FOFF_MHZ)
    np.testing.assert_array_equal(found.power, sky()[:, 1500 - 128 : 1500 + 128])
    assert found.power.mean(axis=0).argmax() == 128
    assert found.frequency_mhz == pytest.approx(frequency, abs=1e-9)
    assert found.note == ""


@pytest.mark.parametrize("suffix", WRITERS)
def test_both_signs_of_foff_give_the_same_snippet(suffix: str, tmp_path: Path) -> None:
    """The same sky, stored from high to low and from low to high (reliability facts, case 55)."""
    falling, rising = tmp_path / f"falling{suffix}", tmp_path / f"rising{suffix}"
    WRITERS[suffix](falling, header(), [sky()])
    lowest = 8420.0 - 4095 * FOFF_MHZ
    WRITERS[suffix](rising, header(fch1_mhz=lowest, foff_mhz=FOFF_MHZ), [sky()[:, ::-1]])
    frequency = 8420.0 - 1500 * FOFF_MHZ
    one, other = (read_snippet(path, frequency_mhz=frequency) for path in (falling, rising))
    np.testing.assert_array_equal(one.power, other.power)
    assert one.frequency_mhz == pytest.approx(other.frequency_mhz, abs=1e-9)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_scan_of_one_snippet_needs_no_frequency_for_either_sign(suffix: str, tmp_path: Path) -> None:
    power = sky(n_chan=4096)[:, 1400:1656]
    middle = 8420.0 - 128 * FOFF_MHZ
    small = {"n_chan": 256, "coarse_width": 256}
    WRITERS[suffix](tmp_path / f"a{suffix}", header(**small), [power])
    lowest = 8420.0 - 255 * FOFF_MHZ
    turned = header(fch1_mhz=lowest, foff_mhz=FOFF_MHZ, **small)
    WRITERS[suffix](tmp_path / f"b{suffix}", turned, [power[:, ::-1]])
    for name in "ab":
        found = read_snippet(tmp_path / f"{name}{suffix}")
        np.testing.assert_array_equal(found.power, power)
        assert found.frequency_mhz == pytest.approx(middle, abs=1e-9)


def test_a_wide_scan_without_a_frequency_says_where_it_can_be_cut(tmp_path: Path) -> None:
    write_fil(tmp_path / "scan.fil", header(), [sky()])
    with pytest.raises(FileRefused) as refused:
        read_snippet(tmp_path / "scan.fil")
    assert refused.value.code == "NO_FREQUENCY"
    assert "--frequency-mhz between 8419.98" in f"{refused.value}"


@pytest.mark.parametrize("frequency", [8420.0, 8420.0 - 4095 * FOFF_MHZ, 1420.0, 1e300, -1.0])
def test_a_cut_that_reaches_past_the_scan_is_refused(frequency: float, tmp_path: Path) -> None:
    write_fil(tmp_path / "scan.fil", header(), [sky()])
    with pytest.raises(FileRefused) as refused:
        read_snippet(tmp_path / "scan.fil", frequency_mhz=frequency)
    assert refused.value.code == "SNIPPET_EDGE"


@pytest.mark.parametrize("frequency", [np.nan, np.inf, -np.inf])
def test_a_frequency_that_is_no_number_is_refused(frequency: float, tmp_path: Path) -> None:
    write_fil(tmp_path / "scan.fil", header(), [sky()])
    with pytest.raises(FileRefused) as refused:
        read_snippet(tmp_path / "scan.fil", frequency_mhz=frequency)
    assert refused.value.code == "NO_FREQUENCY"


def test_the_last_cut_that_fits_is_cut(tmp_path: Path) -> None:
    write_fil(tmp_path / "scan.fil", header(), [sky()])
    for channel in (128, 4096 - 128):
        found = read_snippet(tmp_path / "scan.fil", frequency_mhz=8420.0 - channel * FOFF_MHZ)
        np.testing.assert_array_equal(found.power, sky()[:, channel - 128 : channel + 128])


def test_a_scan_of_another_length_is_brought_to_16_rows_and_says_so(tmp_path: Path) -> None:
    write_fil(tmp_path / "scan.fil", header(n_time=32), [sky(32)])
    found = read_snippet(tmp_path / "scan.fil", frequency_mhz=8420.0 - 1500 * FOFF_MHZ)
    pairs = sky(32)[:, 1372:1628].reshape(16, 2, 256).mean(axis=1)
    np.testing.assert_allclose(found.power, pairs, rtol=1e-6)
    assert found.note == "32 spectra brought to 16 rows"


def test_a_dead_scan_is_refused(tmp_path: Path) -> None:
    write_fil(tmp_path / "scan.fil", header(), [np.ones((16, 4096), np.float32)])
    with pytest.raises(FileRefused) as refused:
        read_snippet(tmp_path / "scan.fil", frequency_mhz=8419.99)
    assert refused.value.code == "NO_VARIANCE"


def test_a_cut_through_a_dc_spike_comes_without_it_as_detection_sees_it(tmp_path: Path) -> None:
    power = sky()
    power[:, 2048] += 50
    write_fbh5(tmp_path / "scan.h5", header(), [power])  # says that a coarse channel has 4096 channels
    found = read_snippet(tmp_path / "scan.h5", frequency_mhz=8420.0 - 2000 * FOFF_MHZ)
    assert power[:, 1872:2128].max() > 50
    assert found.power.max() < 2
    others = np.delete(np.arange(256), [175, 176])
    np.testing.assert_array_equal(found.power[:, others], power[:, 1872:2128][:, others])
    write_fil(tmp_path / "scan.fil", header(), [power])  # cannot say so: 4096 of 2^20 channels are a cut-out
    found = read_snippet(tmp_path / "scan.fil", frequency_mhz=8420.0 - 2000 * FOFF_MHZ)
    np.testing.assert_array_equal(found.power, power[:, 1872:2128])


@pytest.mark.parametrize("frequency", [8420.0 - 3 * FOFF_MHZ, 8420.0 - 200 * FOFF_MHZ])
def test_a_scan_of_one_snippet_is_taken_whole_wherever_in_it_the_frequency_lies(
    frequency: float, tmp_path: Path
) -> None:
    power = sky(n_chan=4096)[:, 1400:1656]
    write_fil(tmp_path / "scan.fil", header(n_chan=256, coarse_width=256), [power])
    found = read_snippet(tmp_path / "scan.fil", frequency_mhz=frequency)
    np.testing.assert_array_equal(found.power, power)
    assert found.frequency_mhz == pytest.approx(8420.0 - 128 * FOFF_MHZ, abs=1e-9)
    with pytest.raises(FileRefused):
        read_snippet(tmp_path / "scan.fil", frequency_mhz=8421.0)


# The time axis


@pytest.mark.parametrize("n_time", [1, 3, 8, 15, 16, 17, 24, 32, 100, 279])
def test_any_number_of_spectra_becomes_16_rows_in_order(n_time: int) -> None:
    given = np.repeat(np.arange(n_time, dtype=np.float32)[:, None], 4, axis=1)
    out = fit_times(given)
    assert out.shape == (16, 4)
    assert out.dtype == np.float32
    assert (np.diff(out[:, 0]) >= 0).all()
    assert out[0, 0] <= n_time / 16
    assert out[-1, 0] >= (n_time - 1) - n_time / 16
    if n_time >= 16:  # every spectrum enters one row
        edges = np.linspace(0, n_time, 17).round()
        np.testing.assert_allclose(out[:, 0] @ np.diff(edges), given[:, 0].sum(), rtol=1e-6)
    else:
        assert set(out[:, 0]) == set(given[:, 0])


def test_stacks_of_snippets_keep_their_other_axes_and_their_kind() -> None:
    given = np.random.default_rng(2).random((5, 32, 7)).astype(np.float16)
    out = fit_times(given)
    assert out.shape == (5, 16, 7)
    assert out.dtype == np.float16
    np.testing.assert_allclose(out, given.astype(np.float64).reshape(5, 16, 2, 7).mean(axis=2), atol=1e-3)
    assert fit_times(given[:, :16]).base is given
