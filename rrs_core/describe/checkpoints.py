"""Encoders on disk: weights as safetensors, and beside them a card that says what they are.

Nothing is ever unpickled. A checkpoint is used only when its bytes match the card's
sha256 and every tensor has the name, shape and kind that the card's network needs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of

from rrs_core import units
from rrs_core.describe import encoders
from rrs_core.describe.snippets import normalise
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe.snippetfiles import fit_times
from rrs_core.survey.store import atomic, sha256_of, write_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rrs_core.config import Normalisation

SHIPPED = Path(__file__).parent / "models"
SHIPPED_NAMES = ("default", "paper", "autoencoder")
BATCH = 128  #: snippets at a time; the activations of a batch stay in the last-level cache
LARGEST_BYTES = 2**30


@dataclass(frozen=True)
class Encoder:
    """A trained encoder: raw snippets in, search vectors out."""

    name: str
    architecture: encoders.Architecture
    module: encoders.Network
    normalisation: Normalisation
    digest: str  #: of the weights and the version of the network that runs them: equal digests, equal vectors
    card: dict[str, Any]
    device: str = "cpu"

    @property
    def dim(self) -> int:
        """Length of the latents."""
        return self.module.settings.latent

    def encode(
        self,
        snippets: NDArray[np.generic],
        *,
        progress: Callable[[int], None] | None = None,
        batch: int = BATCH,
        bfloat16: bool | None = None,
        device: str | None = None,
    ) -> NDArray[np.float32]:
        """Return the vectors that the search compares, shape (n, d), of raw snippets (n, n_time, 256).

        Snippets may be of any real dtype and unit; they are normalised here, the one
        way that training used. `progress` is called with the count of finished rows.
        `bfloat16`: convolutions in half the precision; None takes it where the processor has it.
        `device`: auto, cpu or cuda; None is the one that the encoder was loaded on.

        Raises
        ------
        FileRefused
            SHAPE, for anything but (n, n_time, 256); NO_FINITE for a snippet without a finite pixel.
        SettingsRefused
            DEVICE, for one that is not here.
        """
        chosen = self.device if device is None else encoders.device_of(device)
        return self._apply(snippets, self._fast(chosen), self.dim, progress, batch, bfloat16, chosen)

    @property
    def reads_lines(self) -> bool:
        """Tell whether the network reads drift, width, SNR and place of the line in a snippet."""
        return isinstance(self.module, encoders.ShiftInvariantEncoder) and self.module.reader is not None

    def lines(
        self, snippets: NDArray[np.generic], *, batch: int = BATCH, bfloat16: bool | None = None
    ) -> NDArray[np.float32]:
        """Return `encoders.LINE_NUMBERS` of the line that stands out most in each snippet, shape (n, 5).

        Raises
        ------
        SettingsRefused
            NO_READER, for a network that reads no lines.
        FileRefused
            As `encode`.
        """
        fast = self._fast(self.device)
        if not (self.reads_lines and isinstance(fast, encoders.ShiftInvariantEncoder)):
            raise SettingsRefused(
                "NO_READER", "this encoder reads no lines", got=self.name, expected="a default network with a reader"
            )
        return self._apply(snippets, fast.lines, len(encoders.LINE_NUMBERS), None, batch, bfloat16, self.device)

    def _apply(
        self,
        snippets: NDArray[np.generic],
        network: Callable[[torch.Tensor], torch.Tensor],
        width: int,
        progress: Callable[[int], None] | None,
        batch: int,
        bfloat16: bool | None,
        device: str,
    ) -> NDArray[np.float32]:
        """Return what a network makes of raw snippets, shape (n, width), a batch at a time."""
        if snippets.ndim != 3 or snippets.shape[2] != units.SNIPPET_CHANNELS or snippets.shape[1] == 0:
            raise FileRefused("SHAPE", "not an array of snippets", got=snippets.shape, expected="(n, 16, 256)")
        out = np.empty((len(snippets), width), np.float32)
        bfloat16 = encoders.has_bfloat16(device) if bfloat16 is None else bfloat16
        for start in range(0, len(snippets), batch):
            x = self.inputs(snippets[start : start + batch]).to(device)
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bfloat16):
                out[start : start + batch] = network(x).float().cpu().numpy()
            if progress:
                progress(min(start + batch, len(snippets)))
        return out

    @property
    def decodes(self) -> bool:
        """Tell whether the network can turn latents into snippets."""
        return not isinstance(self.module, encoders.ShiftInvariantEncoder)

    def decode(self, latents: NDArray[np.float32], *, batch: int = BATCH) -> NDArray[np.float32]:
        """Return snippets as the network draws them from latents (n, d), shape (n, 16, 256), scaled as its input.

        Raises
        ------
        SettingsRefused
            NO_DECODER.
        """
        if isinstance(self.module, encoders.ShiftInvariantEncoder):
            raise SettingsRefused(
                "NO_DECODER", "this encoder makes latents and no snippets of them", got=self.name,
                expected="an encoder with a decoder, as the paper's β-VAE",
            )  # fmt: skip
        with torch.inference_mode():
            given = torch.from_numpy(latents).to(self.device)
            parts = [self.module.decode(part)[:, 0].float().cpu() for part in torch.split(given, batch)]
        return np.asarray(torch.cat(parts).numpy())

    @cached_property
    def _copies(self) -> dict[str, torch.nn.Module]:
        return {}

    def _fast(self, device: str) -> torch.nn.Module:
        """Return the copy that only encodes on a device, made once."""
        if device not in self._copies:
            self._copies[device] = encoders.for_inference(self.module).to(device)
        return self._copies[device]

    def seen(self, snippets: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return snippets as the model sees them, shape (n, 16, 256)."""
        real: NDArray[np.floating] = np.asarray(snippets, np.float64 if snippets.dtype.itemsize > 4 else np.float32)
        return normalise(fit_times(real), self.normalisation)

    def inputs(self, snippets: NDArray[np.generic]) -> torch.Tensor:
        """Return the network's input, shape (n, 1, 16, 256), channels last."""
        x = torch.from_numpy(self.seen(snippets)[:, None]).to(self.device)
        return x.contiguous(memory_format=torch.channels_last)


def load(name: str | Path, *, device: str = "cpu") -> Encoder:
    """Load `default`, `paper`, `autoencoder`, or a model of one's own by the path of its .safetensors file.

    Raises
    ------
    FileRefused
        CHECKPOINT, with the reason; nothing is half-loaded.
    SettingsRefused
        DEVICE, for one that is not here; `device` is auto, cpu or cuda.
    """
    device = encoders.device_of(device)
    path = SHIPPED / f"{name}.safetensors" if f"{name}" in SHIPPED_NAMES else Path(name)
    card_path = path.with_suffix(".json")
    for needed in (path, card_path):
        if not needed.is_file():
            raise FileRefused(
                "CHECKPOINT",
                "no such model",
                where=needed,
                expected="NAME.safetensors with NAME.json beside it",
                todo="make one with: rrs train",
            )
    if path.stat().st_size > LARGEST_BYTES:
        raise FileRefused(
            "CHECKPOINT",
            "weights are too large",
            where=path,
            got=f"{path.stat().st_size} bytes",
            expected=f"at most {LARGEST_BYTES}",
        )
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        architecture, given, expected = card["architecture"], card["settings"], card["sha256"]
        sizes: dict[str, Any] = {key: tuple(size) if isinstance(size, list) else size for key, size in given.items()}
        with torch.device("meta"):  # nothing is allocated for sizes that the weights do not bear out
            module = encoders.build(encoders.SETTINGS[architecture](**sizes))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise FileRefused("CHECKPOINT", f"the model's card is not usable: {error!r}", where=card_path) from error
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise FileRefused(
            "CHECKPOINT",
            "the weights are not the ones that the card describes",
            where=path,
            got=f"sha256 {digest[:16]}…",
            expected=f"{f'{expected}'[:16]}…",
        )
    try:
        tensors = tensors_of(data)
    except SafetensorError as error:
        raise FileRefused(
            "CHECKPOINT",
            f"not a safetensors file: {error}",
            where=path,
            todo="no other format is read: it could run code; save the tensors with safetensors.torch.save_file",
        ) from error
    _fill(module, tensors, path)
    module.eval()
    module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    version = hashlib.sha256(f"{digest} {encoders.CODE[architecture]}".encode()).hexdigest()
    return Encoder(f"{name}", architecture, module, encoders.NORMALISATION[architecture], version, card, device)


def save(path: Path, module: encoders.Network, **card: object) -> None:
    """Write weights and card, the card last; `card` holds how the model was made and how it does."""
    architecture = encoders.architecture_of(module)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with atomic(path) as temporary:
        temporary.write_bytes(bytes_of(tensors))
    write_text(
        path.with_suffix(".json"),
        json.dumps(
            {
                "architecture": architecture,
                "settings": dataclasses.asdict(module.settings),
                "normalisation": encoders.NORMALISATION[architecture],
                "sha256": sha256_of(path),
                **card,
            },
            indent=1,
        ),
    )


def _fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put tensors into a network after checking every name, shape, kind and value."""
    wanted = module.state_dict()
    if set(tensors) != set(wanted):
        odd = sorted(set(tensors) ^ set(wanted))[:4]
        raise FileRefused("CHECKPOINT", "tensors are missing or unknown", where=path, got=odd)
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:
            raise FileRefused(
                "CHECKPOINT",
                f"tensor {name}",
                where=path,
                got=f"{tuple(tensor.shape)} {tensor.dtype}",
                expected=f"{tuple(wanted[name].shape)} {wanted[name].dtype}",
            )
        if not torch.isfinite(tensor).all():
            raise FileRefused("CHECKPOINT", f"tensor {name} holds NaN or infinity", where=path)
    module.load_state_dict(tensors, assign=True)
