"""Settings of every stage: frozen, written to survey.toml, digested for the manifests.

A stage runs again when its digest changes. `paper` settings follow Ma et al. 2023
and Jacobson-Bell et al. 2025 throughout; `default` settings are ours. See docs/method.md for each difference.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from pathlib import Path

Method = Literal["default", "paper"]
Normalisation = Literal["robust", "log", "linear"]
Projection = Literal["umap", "pca"]

PAPER_THRESHOLD = 512.0  #: Ma et al. 2023, section 2.2
PAPER_EPSILON = 0.18  #: Jacobson-Bell et al. 2025, section 5

#: Lowest and highest value of the numbers in survey.toml; a window is checked against its scan by `detect`.
RANGES = {
    "seed": (0, 2**63 - 1),
    "threshold": (0, 1e12),
    "false_hits_per_coarse": (1e-9, 1000),
    "width": (1, 2**20),
    "stride": (1, 2**20),
    "n_neighbors": (2, 1000),
    "min_dist": (0, 1),
    "fit_rows": (100, 10**8),
    "snr": (1, 1e6),
    "max_drift_hz_s": (0, 1000),
    "seeds": (0, 10_000),
    "epochs": (1, 100),
    "stop": (0, 1),
    "batch": (10, 10**6),
    "min_cluster_size": (2, 1000),
    "min_samples": (1, 1000),
    "epsilon": (0, 100),
    "votes": (1, 1000),
    "tolerance_hz": (0, 1e6),
    "length": (2, 1000),
}


@dataclass(frozen=True)
class DetectSettings:
    """Energy detection (Ma et al. 2023, section 2.2).

    `threshold` 0 means: in `default` calibrated on each scan's own noise so that a coarse
    channel of pure noise gives `false_hits_per_coarse` hits; in `paper` its 512.
    """

    method: Method = "default"
    threshold: float = 0.0
    false_hits_per_coarse: float = 0.5
    width: int = 256  #: window [channels]
    stride: int = 128  #: step between windows [channels]


@dataclass(frozen=True)
class DopplerSettings:
    """The drift search: narrowband lines of constant drift (detector `doppler`).

    `paper`: noise, top hits and step as turboSETI's FindDoppler has them, which GLOBULAR
    reads; `default`: noise measured about each signal, one hit a signal however close.
    """

    method: Method = "default"
    search: bool = True  #: false: no drift search; hits come from files alone
    snr: float = 10.0  #: least signal-to-noise ratio
    max_drift_hz_s: float = 4.0  #: searched both ways [Hz/s]


@dataclass(frozen=True)
class FeatureSettings:
    """GLOBULAR's 13 features, by the paper's definitions or ours."""

    method: Method = "default"
    seeds: int = 100  #: drawn signals whose features seed the clusters (section 3.1)


@dataclass(frozen=True)
class ClusterSettings:
    """Epochs of HDBSCAN in batches (Jacobson-Bell et al. 2025, sections 3.1 and 5)."""

    method: Method = "default"
    epochs: int = 8  #: at most
    stop: float = 0.1  #: the epoch that begins with this share of the hits or less is the last
    batch: int = 3000  #: hits in a batch
    min_cluster_size: int = 4
    min_samples: int = 2  #: as scikit-learn counts, the point itself included
    epsilon: float = PAPER_EPSILON  #: clusters nearer than this are one
    votes: int = 5  #: seeded partitions that vote on each hit; the paper has one


@dataclass(frozen=True)
class EventSettings:
    """Hits of one cadence to events: FindEvent's filter, or following each signal along its drift."""

    method: Method = "default"
    tolerance_hz: float = 0.0  #: of a match, beside what the drift's step allows; 0: three channels [Hz]
    length: int = 6  #: scans of a whole cadence; one with fewer is incomplete, and not scored


@dataclass(frozen=True)
class EncodeSettings:
    """Which encoder makes the latents: `default`, `paper` or the path of a model, counted from the survey's folder."""

    model: str = "default"

    def at(self, folder: Path) -> EncodeSettings:
        """Return the settings with the model's path as it is seen from here."""
        shipped = self.model in get_args(Method)
        return self if shipped else dataclasses.replace(self, model=f"{folder / self.model}")


@dataclass(frozen=True)
class ProjectSettings:
    """The map: UMAP of the latents."""

    method: Projection = "umap"
    n_neighbors: int = 15
    min_dist: float = 0.1
    fit_rows: int = 50_000  #: rows that UMAP is fitted on; the rest are placed on the fitted map


@dataclass(frozen=True)
class Settings:
    """All settings of one survey, as survey.toml holds them."""

    method: Method = "default"
    seed: int = 0
    detect: DetectSettings = field(default_factory=DetectSettings)
    doppler: DopplerSettings = field(default_factory=DopplerSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    events: EventSettings = field(default_factory=EventSettings)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    project: ProjectSettings = field(default_factory=ProjectSettings)

    @classmethod
    def of(cls, method: Method, seed: int = 0) -> Settings:
        """Return the settings of a method."""
        if method == "paper":
            return cls(
                method="paper",
                seed=seed,
                detect=DetectSettings(method="paper", threshold=PAPER_THRESHOLD),
                doppler=DopplerSettings(method="paper"),
                features=FeatureSettings(method="paper"),
                cluster=ClusterSettings(method="paper", votes=1),
                events=EventSettings(method="paper"),
                encode=EncodeSettings(model="paper"),
            )
        return cls(seed=seed)


def digest(*parts: Any) -> str:  # noqa: ANN401 - settings, strings, numbers, nested
    """Return the sha256 of anything JSON can hold, and of settings; order of keys does not matter."""
    plain = [dataclasses.asdict(part) if dataclasses.is_dataclass(part) else part for part in parts]  # type: ignore[arg-type]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def dump(settings: Settings, versions: dict[str, str]) -> str:
    """Return the text of survey.toml."""
    import tomli_w

    tables = dataclasses.asdict(settings)
    top = {"survey": {key: tables.pop(key) for key in ("method", "seed")}}
    return tomli_w.dumps({**top, **tables, "versions": versions})


def load(path: Path) -> Settings:
    """Read survey.toml.

    Raises
    ------
    SettingsRefused
        CONFIG, for a file that is not TOML, an unknown table or key, or a value of the wrong kind or size.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused("CONFIG", f"not a TOML file: {error}", where=path, todo="mend or delete it") from error
    tables.pop("versions", None)  # a record, not a setting
    values: dict[str, Any] = {}
    hints = get_type_hints(Settings)
    for name, table in tables.items():
        if name == "survey":
            values |= _checked(Settings, table, f"{path} [survey]", only=("method", "seed"))
        elif name in hints and dataclasses.is_dataclass(hints[name]):
            values[name] = hints[name](**_checked(hints[name], table, f"{path} [{name}]"))
        else:
            raise SettingsRefused("CONFIG", f"unknown table [{name}]", where=path, expected=sorted(hints))
    read = Settings(**values)
    return dataclasses.replace(read, encode=read.encode.at(path.parent))


def _checked(kind: type, table: object, where: str, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a TOML table's values after checking names and types against a settings class."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if not only or name in only}
    if not isinstance(table, dict):
        raise SettingsRefused("CONFIG", "expected a table", where=where, got=table)
    values = {}
    for name, value in table.items():
        if name not in hints:
            raise SettingsRefused("CONFIG", f"unknown setting {name}", where=where, expected=sorted(hints))
        hint = hints[name]
        choices = get_args(hint)
        if choices and value not in choices:
            raise SettingsRefused("CONFIG", f"setting {name}", where=where, got=value, expected=list(choices))
        if not choices:
            value = float(value) if hint is float and type(value) is int else value
            if type(value) is not hint:
                raise SettingsRefused("CONFIG", f"setting {name}", where=where, got=value, expected=hint.__name__)
        low, high = RANGES.get(name, (None, None))
        if low is not None and not low <= value <= high:  # NaN is not in any range
            raise SettingsRefused("CONFIG", f"setting {name}", where=where, got=value, expected=f"{low} to {high}")
        values[name] = value
    return values
