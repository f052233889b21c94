"""Encoders on disk: the same vectors after save and load, and nothing but whole, finite, matching tensors is used."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save as bytes_of

from rrs_core.describe import checkpoints, encoders
from rrs_core.describe.snippets import normalise
from rrs_core.errors import FileRefused, SettingsRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SETTINGS = {
    "default": encoders.ShiftInvariantSettings(
        filters=(4, 6, 8, 8), over_time=12, hidden=10, latent=7, kinds=("a", "b")
    ),
    "paper": encoders.VAESettings(filters=(2, 3, 4), dense=(8, 6), latent=5),
}


def network(architecture: str = "default", seed: int = 0) -> Any:  # noqa: ANN401 - either network
    """Return a network with random weights and moving statistics that are not the initial ones."""
    torch.manual_seed(seed)
    module = encoders.build(SETTINGS[architecture])
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor += 0.1 * torch.rand_like(tensor) if "var" in name else 0.1 * torch.randn_like(tensor)
    return module.eval()


def snippets(n: int = 30, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    power = rng.gamma(100, 0.01, (n, 16, 256))
    for snippet in power:
        snippet[:, rng.integers(20, 230)] += rng.uniform(0.2, 3)
    return power.astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    checkpoints.save(path, network())
    return path


def rewrite(path: Path, data: bytes | None = None, **card: object) -> None:
    """Replace a model's weights and words of its card; the card's digest follows the weights unless it is given."""
    if data is not None:
        path.write_bytes(data)
    known = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    known["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(known | card), encoding="utf-8")


def refused_reason(path: Path) -> str:
    with pytest.raises(FileRefused) as refused:
        checkpoints.load(path)
    assert refused.value.code == "CHECKPOINT"
    return f"{refused.value}"


# What is saved comes back


@pytest.mark.parametrize("architecture", SETTINGS)
def test_a_model_comes_back_with_the_same_vectors(architecture: str, tmp_path: Path) -> None:
    module = network(architecture)
    checkpoints.save(tmp_path / "m.safetensors", module, trained_on="a night")
    encoder = checkpoints.load(tmp_path / "m.safetensors")
    assert encoder.architecture == architecture
    assert encoder.module.settings == module.settings
    assert encoder.card["trained_on"] == "a night"
    assert encoder.normalisation == encoder.card["normalisation"] == encoders.NORMALISATION[encoder.architecture]
    weights = hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()
    assert encoder.card["sha256"] == weights
    version = f"{weights} {encoders.CODE[encoder.architecture]}"  # the same weights in another network: other vectors
    assert encoder.digest == hashlib.sha256(version.encode()).hexdigest()
    for name, tensor in module.state_dict().items():
        assert torch.equal(encoder.module.state_dict()[name], tensor), name
    with torch.no_grad():
        truth = module(torch.from_numpy(normalise(snippets(), encoder.normalisation)[:, None])).numpy()
    found = encoder.encode(snippets(), bfloat16=False)
    assert found.dtype == np.float32
    assert found.shape == (30, encoder.dim) == (30, SETTINGS[architecture].latent)
    np.testing.assert_allclose(found, truth, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", SETTINGS)
def test_loading_twice_gives_the_same_bytes(architecture: str, tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "m.safetensors", network(architecture))
    first, again = (checkpoints.load(tmp_path / "m.safetensors").encode(snippets()) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_loaded_model_can_be_trained_on(model: Path) -> None:
    module = checkpoints.load(model).module
    module.train()
    module(torch.randn(4, 1, 16, 256)).sum().backward()
    gradients = [parameter.grad is not None for name, parameter in module.named_parameters() if name != "directions"]
    assert all(gradients)


@pytest.mark.parametrize("architecture", SETTINGS)
@pytest.mark.parametrize("batch", [1, 7, 30, 1000])
def test_the_size_of_a_batch_does_not_change_the_vectors(architecture: str, batch: int, tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "m.safetensors", network(architecture))
    encoder = checkpoints.load(tmp_path / "m.safetensors")
    whole = encoder.encode(snippets(), bfloat16=False)
    np.testing.assert_allclose(encoder.encode(snippets(), batch=batch, bfloat16=False), whole, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 7, 30, 1000])
def test_half_precision_is_only_a_little_less_precise_whatever_the_batch(batch: int, model: Path) -> None:
    encoder = checkpoints.load(model)
    whole, half = encoder.encode(snippets(), bfloat16=False), encoder.encode(snippets(), batch=batch, bfloat16=True)
    cosine = (whole * half).sum(axis=1) / np.linalg.norm(whole, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.999


def test_a_device_is_named_or_chosen_and_makes_no_other_vectors(model: Path) -> None:
    whole = checkpoints.load(model).encode(snippets())
    np.testing.assert_array_equal(checkpoints.load(model, device="cpu").encode(snippets(), device="cpu"), whole)
    chosen = checkpoints.load(model, device="auto")
    assert chosen.device == ("cuda" if torch.cuda.is_available() else "cpu")
    found = chosen.encode(snippets(), device="auto", bfloat16=False)
    np.testing.assert_allclose(found, checkpoints.load(model).encode(snippets(), bfloat16=False), atol=1e-4)


@pytest.mark.parametrize("device", ["tpu", "", "CPU", "cuda"])
def test_a_device_that_is_not_here_is_refused(device: str, model: Path) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    for asked in (
        lambda: checkpoints.load(model, device=device),
        lambda: checkpoints.load(model).encode(snippets(), device=device),
    ):
        with pytest.raises(SettingsRefused) as refused:
            asked()
        assert refused.value.code == "DEVICE"


def test_lines_are_read_whatever_the_batch_and_only_by_networks_that_read_them(model: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = encoders.ShiftInvariantSettings(kinds=("cw", "line"), line_latents=6)
    checkpoints.save(tmp_path / "own.safetensors", encoders.build(settings))
    reader = checkpoints.load(tmp_path / "own.safetensors")
    snippets = np.random.default_rng(3).gamma(50, 0.02, (5, 16, 256)).astype(np.float32)
    found = reader.lines(snippets, bfloat16=False)
    assert reader.reads_lines
    assert found.shape == (5, len(encoders.LINE_NUMBERS))
    np.testing.assert_allclose(found, reader.lines(snippets, batch=2, bfloat16=False), rtol=1e-3, atol=1e-3)
    assert ((found[:, 4] >= 0) & (found[:, 4] <= 1)).all()
    other = checkpoints.load(model)
    assert not other.reads_lines
    with pytest.raises(SettingsRefused) as refused:
        other.lines(snippets)
    assert refused.value.code == "NO_READER"


def test_the_unit_of_power_and_the_kind_of_number_do_not_change_the_vectors(model: Path) -> None:
    encoder = checkpoints.load(model)
    whole = encoder.encode(snippets(), bfloat16=False)
    for same in (snippets() * 1e9, snippets().astype(np.float64) * 1e300, snippets() + 3):
        np.testing.assert_allclose(encoder.encode(same, bfloat16=False), whole, atol=2e-3)
    image = np.rint(200 * snippets() / snippets().max(axis=(1, 2), keepdims=True)).astype(np.uint8)
    np.testing.assert_allclose(
        encoder.encode(image, bfloat16=False), encoder.encode(image.astype(np.float32), bfloat16=False), atol=1e-6
    )


def test_snippets_of_another_length_are_brought_to_16_rows(model: Path) -> None:
    encoder = checkpoints.load(model)
    doubled = np.repeat(snippets(), 2, axis=1)
    np.testing.assert_allclose(
        encoder.encode(doubled, bfloat16=False), encoder.encode(snippets(), bfloat16=False), atol=1e-4
    )


@pytest.mark.parametrize("shape", [(16, 256), (3, 16, 255), (3, 0, 256), (1, 3, 16, 256)])
def test_what_is_no_array_of_snippets_is_refused(shape: tuple[int, ...], model: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        checkpoints.load(model).encode(np.ones(shape, np.float32))
    assert refused.value.code == "SHAPE"


def test_no_snippets_have_no_vectors_and_progress_counts_rows(model: Path) -> None:
    encoder = checkpoints.load(model)
    assert encoder.encode(snippets()[:0]).shape == (0, 7)
    told: list[int] = []
    encoder.encode(snippets(), batch=13, progress=told.append)
    assert told == [13, 26, 30]


@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_model_that_is_shipped_loads_and_encodes(name: str) -> None:
    if name == "paper" and not (checkpoints.SHIPPED / "paper.safetensors").is_file():
        pytest.skip("no paper model is shipped yet")
    encoder = checkpoints.load(name)
    assert encoder.architecture == name
    assert np.isfinite(encoder.encode(snippets())).all()


def test_the_default_model_tells_a_line_from_noise() -> None:
    noise = np.random.default_rng(5).gamma(100, 0.01, (30, 16, 256))
    vectors = checkpoints.load("default").encode(np.concatenate([snippets(), noise]))
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    cosine = unit @ unit.T
    assert cosine[:30, :30].mean() > cosine[:30, 30:].mean() + 0.2


# What is refused (reliability facts, cases 98 and 99)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.system, (f"touch {self.canary}",)


def torch_zip(payload: object) -> bytes:
    out = io.BytesIO()
    torch.save(payload, out)
    return out.getvalue()


def torch_script() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
        archive.writestr("model/code/__torch__.py", "")
    return out.getvalue()


@pytest.mark.parametrize("kind", ["pickle", "torch", "script", "safetensors in front"])
def test_a_pickle_is_refused_before_it_is_opened_and_the_line_says_what_to_do(
    kind: str, model: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    payload = pickle.dumps(Payload(canary))
    data = {
        "pickle": payload,
        "torch": torch_zip(Payload(canary)),
        "script": torch_script(),
        "safetensors in front": model.read_bytes() + payload,
    }[kind]
    rewrite(model, data)
    reason = refused_reason(model)
    assert not canary.exists()
    assert "not a safetensors file" in reason
    assert "safetensors.torch.save_file" in reason


def header(text: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if size is None else size) + text


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0", b"\0" * 8, header(b"{}")[:-1], header(b"{}", 2**40), header(b"{}", 2**64 - 1), header(b"[]"),
        header(b'{"a": 3}'), header(b"not json"), header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}') + bytes(8),
        header(b'{"a":{"dtype":"F32","shape":[9999999999999],"data_offsets":[0,8]}}') + bytes(8),
    ],
)  # fmt: skip
def test_a_damaged_safetensors_file_is_refused(data: bytes, model: Path) -> None:
    rewrite(model, data)
    assert "safetensors" in refused_reason(model)


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.5, 0.99])
def test_truncated_weights_are_refused(keep: float, model: Path) -> None:
    data = model.read_bytes()
    rewrite(model, data[: int(keep * len(data))])
    assert "not a safetensors file" in refused_reason(model)


def test_weights_that_the_card_does_not_describe_are_refused(model: Path) -> None:
    data = bytearray(model.read_bytes())
    data[-3] ^= 1
    model.write_bytes(data)
    assert "not the ones that the card describes" in refused_reason(model)
    checkpoints.save(model, network(seed=1))
    other = model.read_bytes()
    checkpoints.save(model, network(seed=2))
    model.write_bytes(other)
    assert "not the ones that the card describes" in refused_reason(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float, model: Path) -> None:
    tensors = network().state_dict()
    tensors["head.0.weight"][1, 2] = value
    rewrite(model, bytes_of(tensors))
    assert "head.0.weight" in refused_reason(model)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "kind", "many"])
def test_tensors_that_do_not_fit_the_network_are_refused(change: str, model: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in network().state_dict().items()}
    if change == "missing":
        del tensors["centre"]
    elif change == "extra":
        tensors["more"] = torch.zeros(3)
    elif change == "shape":
        tensors["centre"] = torch.zeros(8)
    elif change == "kind":
        tensors["centre"] = torch.zeros(7, dtype=torch.float64)
    else:
        tensors |= {f"t{i}": torch.zeros(1) for i in range(20_000)}
    rewrite(model, bytes_of(tensors))
    assert {"missing": "centre", "extra": "more", "shape": "(8,)", "kind": "float64", "many": "t0"}[
        change
    ] in refused_reason(model)


@pytest.mark.parametrize(
    "card",
    [
        {"architecture": "resnet"},
        {"architecture": ["default"]},
        {"architecture": "paper"},
        {"settings": {"latent": 8}},
        {"settings": {"depth": 3}},
        {"settings": {"filters": []}},
        {"settings": {"filters": ["a"]}},
        {"settings": {"filters": 3}},
        {"settings": {"latent": -1}},
        {"settings": {"latent": 2.5}},
        {"settings": {"hidden": 10**15}},
        {"settings": {"time_strides": [0, 0, 0, 0]}},
        {"settings": [1]},
        {"settings": None},
        {"sha256": 5},
        {"sha256": None},
    ],
)
def test_a_card_that_does_not_fit_is_refused(card: dict[str, object], model: Path) -> None:
    rewrite(model, None, **card)
    refused_reason(model)


def test_nothing_is_allocated_for_sizes_that_the_weights_do_not_bear_out(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[str] = []
    build = encoders.build

    def watched(settings: Any) -> Any:  # noqa: ANN401 - either network's
        module = build(settings)
        places.extend(parameter.device.type for parameter in module.parameters())
        return module

    monkeypatch.setattr(encoders, "build", watched)
    rewrite(model, None, settings={"hidden": 10**6})
    refused_reason(model)
    assert set(places) == {"meta"}


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", "{}", "\ufeff{}"])
def test_a_card_that_is_no_card_is_refused(text: str, model: Path) -> None:
    model.with_suffix(".json").write_text(text, encoding="utf-8")
    assert "card" in refused_reason(model)


def test_a_card_that_is_no_text_is_refused(model: Path) -> None:
    model.with_suffix(".json").write_bytes(b"\xff\xfe\x00")
    assert "card" in refused_reason(model)


def test_a_model_without_its_card_or_weights_is_refused(model: Path, tmp_path: Path) -> None:
    assert "rrs train" in refused_reason(tmp_path / "absent.safetensors")
    refused_reason(tmp_path)
    model.with_suffix(".json").unlink()
    assert "model.json" in refused_reason(model)


def test_a_model_is_written_whole_with_the_card_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (renamed.append(os.path.basename(b)), replace(a, b))[1])  # noqa: PTH119
    checkpoints.save(tmp_path / "m.safetensors", network())
    assert renamed == ["m.safetensors", "m.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.safetensors"]
