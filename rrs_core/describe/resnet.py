"""ResNet-50 on snippets: what the search paper compares its encoder with (section 3.1; He et al. 2015).

The network in plain torch, with the names of tensors that published weights have, so
that ImageNet weights load as they are. The 3 x 3 convolution of a block carries its
stride, as in those weights ("v1.5").
"""

from __future__ import annotations

import logging
import os
import time
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rrs_core.describe import encoders
from rrs_core.describe.snippets import normalise
from rrs_core.errors import FileRefused
from rrs_core.survey.store import atomic, sha256_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

Variant = Literal["text", "code"]
VARIABLE = "RRS_RESNET50"  #: environment variable that names the weights
#: ImageNet weights as torchvision first published them, in the one format that cannot carry code.
URL = "https://huggingface.co/timm/resnet50.tv_in1k/resolve/main/model.safetensors"
KEPT_AS = "resnet50-imagenet.safetensors"
CONNECT_S, WHOLE_S = 10.0, 180.0  #: patience with the download, to hear anything and altogether
LARGEST_BYTES = 2**28
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  #: of ImageNet's colours, as the weights were trained with
BLOCKS = (3, 4, 6, 3)
BATCH = 64


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a short cut."""

    def __init__(self, before: int, narrow: int, stride: int) -> None:
        super().__init__()
        wide = 4 * narrow
        self.conv1 = nn.Conv2d(before, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or before != wide:
            self.downsample = nn.Sequential(nn.Conv2d(before, wide, 1, stride=stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output; shapes (n, before, h, w) to (n, 4 narrow, h / stride, w / stride)."""
        short = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + short)


class ResNet(nn.Module):
    """ResNet of bottlenecks; ResNet-50 as it comes."""

    def __init__(self, blocks: tuple[int, ...] = BLOCKS, narrow: int = 64, n_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, narrow, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        before = narrow
        self.stages = [f"layer{number + 1}" for number in range(len(blocks))]
        for number, (name, depth) in enumerate(zip(self.stages, blocks, strict=True)):
            inner = narrow << number
            strides = [1 if number == 0 else 2, *[1] * (depth - 1)]
            layers = [Bottleneck(before if i == 0 else 4 * inner, inner, stride) for i, stride in enumerate(strides)]
            self.add_module(name, nn.Sequential(*layers))
            before = 4 * inner
        self.fc = nn.Linear(before, n_classes)

    def pooled(self, x: Tensor) -> Tensor:
        """Return the pooled features, shape (n, 32 narrow), of colour images (n, 3, h, w)."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the classes, shape (n, n_classes)."""
        scores: Tensor = self.fc(self.pooled(x))
        return scores


@dataclass(frozen=True)
class ResNetEncoder:
    """Snippets to vectors by a ResNet; `pretrained` tells ImageNet weights from random ones."""

    module: ResNet
    pretrained: bool
    variant: Variant

    def encode(self, power: NDArray[np.float32], *, bfloat16: bool | None = None) -> NDArray[np.float32]:
        """Return vectors, shape (n, 2048) or (n, 1000), of raw snippets (n, 16, 256), scaled to 0-1 and grey.

        `text`: the last layer is removed (paper), and colours are scaled as the weights
        were trained with. `code`: the classes' softmax of colours as they are (the
        authors' code). The image stays 16 x 256.
        """
        parts = []
        half = encoders.has_bfloat16("cpu") if bfloat16 is None else bfloat16
        for first in range(0, len(power), BATCH):
            grey = torch.from_numpy(normalise(power[first : first + BATCH], "linear"))[:, None]
            x = grey.expand(-1, 3, -1, -1)
            if self.variant == "text":
                x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
                out = self.module.pooled(x) if self.variant == "text" else self.module(x)
            out = out.float() if self.variant == "text" else torch.softmax(out.float(), dim=1)
            parts.append(out.numpy())
        size = self.module.fc.in_features if self.variant == "text" else self.module.fc.out_features
        return np.concatenate(parts) if parts else np.empty((0, size), np.float32)


def load(
    path: Path | None = None, *, variant: Variant = "text", seed: int = 0, module: ResNet | None = None
) -> ResNetEncoder:
    """Return ResNet-50 with ImageNet weights, or with random ones where none can be had.

    Parameters
    ----------
    path : Path, optional
        Weights, .safetensors; else what `RRS_RESNET50` names, what torch.hub's
        folder holds, or a download into it, tried once.
    variant : {"text", "code"}
        See `ResNetEncoder.encode`.
    seed : int
        Of random weights.
    module : ResNet, optional
        Network to fill instead of a ResNet-50.

    Raises
    ------
    FileRefused
        WEIGHTS, for weights that were named and cannot be used.
    """
    found = _weights(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = module or ResNet()
        _initialise(module)
    if found is not None:
        _fill(module, found)
    return ResNetEncoder(_for_inference(module), found is not None, variant)


def weights_digest(path: Path | None = None) -> str:
    """Return the sha256 of the weights that `load` would take, or "random"."""
    found = _weights(path)
    if found is None:
        return "random"
    _check_there(found)
    return _digest_of(found, found.stat().st_mtime_ns)


@lru_cache(maxsize=4)  # a hundred megabytes, asked for again and again
def _digest_of(path: Path, _: int) -> str:
    return sha256_of(path)


def _weights(path: Path | None) -> Path | None:
    if path is None and os.environ.get(VARIABLE):
        path = Path(os.environ[VARIABLE])
    return path or _of_hub()


@lru_cache(maxsize=1)  # one try a process
def _of_hub() -> Path | None:
    """Return the weights in torch.hub's folder, fetched if they are not there; None where that fails."""
    place = Path(torch.hub.get_dir()) / "checkpoints" / KEPT_AS
    if place.is_file():
        return place
    try:
        data = _fetch(URL)
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic(place) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        log.warning("no ImageNet weights of ResNet-50, its row runs with random ones: %s (%s)", URL, error)
        return None
    return place


def _fetch(url: str) -> bytes:
    """Return what an address holds, with little patience.

    Raises
    ------
    OSError
        If nothing is heard, it takes too long, or is too large.
    """
    deadline = time.monotonic() + WHOLE_S
    data = bytearray()
    with urllib.request.urlopen(url, timeout=CONNECT_S) as response:
        while part := response.read(2**20):
            data += part
            if time.monotonic() > deadline or len(data) > LARGEST_BYTES:
                raise OSError(f"stopped after {len(data)} bytes")
    return bytes(data)


def _initialise(module: ResNet) -> None:
    """Draw weights as He et al. did: normal, of the spread that keeps a layer's output alike."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _fill(module: ResNet, path: Path) -> None:
    """Put weights into a network after checking every name, shape and value."""
    _check_there(path)
    try:
        tensors = load_file(path)
        kept = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
        missing = module.load_state_dict(kept, strict=False)
        finite = all(bool(torch.isfinite(tensor).all()) for tensor in kept.values())
    except (SafetensorError, RuntimeError, OSError) as error:
        raise FileRefused(
            "WEIGHTS", f"not weights of ResNet-50: {error}", where=path, expected=".safetensors"
        ) from error
    absent = [name for name in missing.missing_keys if not name.endswith("num_batches_tracked")]
    if absent or missing.unexpected_keys:
        odd = [*absent, *missing.unexpected_keys]
        raise FileRefused("WEIGHTS", "tensors are missing or unknown", where=path, got=odd[:4])
    if not finite:
        raise FileRefused("WEIGHTS", "a tensor holds NaN or infinity", where=path)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise FileRefused("WEIGHTS", "no such file", where=path, expected="weights of ResNet-50, .safetensors")


def _for_inference(module: ResNet) -> ResNet:
    """Fold batch normalisation into the convolutions before it; channels last."""
    module.eval()
    for layer in list(module.modules()):
        if isinstance(layer, Bottleneck):
            for number in (1, 2, 3):
                _fold(layer, f"conv{number}", f"bn{number}")
            if layer.downsample is not None:
                _fold(layer.downsample, "0", "1")
    _fold(module, "conv1", "bn1")
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _fold(parent: nn.Module, convolution: str, norm: str) -> None:
    first, second = parent.get_submodule(convolution), parent.get_submodule(norm)
    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
        setattr(parent, convolution, fuse_conv_bn_eval(first, second))
        setattr(parent, norm, nn.Identity())
