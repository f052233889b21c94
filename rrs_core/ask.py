"""A question to a survey, whole: query in, lookalikes out. What the command line and a notebook call."""

from __future__ import annotations

import math
import tomllib
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group.search import FrequencyTerm, index_of, lookalikes
from rrs_core.observe.snippetfiles import Snippet, read_snippet
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.survey.catalogue import Survey


def term_of(survey: Survey, weight: float, query_mhz: float | None) -> FrequencyTerm | None:
    """Return the frequency term of a survey's method: the kernel, or the paper's sinusoidal embedding."""
    if weight == 0:
        return None
    return FrequencyTerm(weight, query_mhz, "embedding" if survey.settings.method == "paper" else "kernel")


def lookalikes_of(
    root: Path,
    *,
    snippet: Path | None = None,
    hit: int | None = None,
    template: Path | None = None,
    top: int = 50,
    frequency_weight: float = 0.0,
    frequency_mhz: float | None = None,
    collapse: bool = True,
) -> pd.DataFrame:
    """Return the lookalikes of one query in the survey at `root` (see `group.search.lookalikes`).

    Raises
    ------
    SettingsRefused
        USAGE, unless exactly one of snippet, hit and template is given.
    SurveyRefused
        STAGE_ORDER, when the survey's snippets are not encoded yet; NO_HIT; MODEL_CHANGED.
    """
    if sum(given is not None for given in (snippet, hit, template)) != 1:
        raise SettingsRefused("USAGE", "one query, please", expected="--snippet FILE, --hit ID or --template FILE")
    survey = load(root)
    if not survey.store.has_table("latents"):
        raise SurveyRefused(
            "STAGE_ORDER", "the survey's snippets are not encoded yet", where=root, todo=f"run rrs build {root}"
        )
    index = index_of(survey)
    if hit is not None:
        found = survey.hit(hit)
        rows = np.flatnonzero(index.hit_id == hit)
        if rows.size == 0:
            raise SurveyRefused("NO_HIT", f"hit {hit} is not encoded yet", where=root, todo=f"run rrs build {root}")
        query = index.latents[rows[0]]
        frequency_mhz = float(found["frequency_mhz"]) if frequency_mhz is None else frequency_mhz
    else:
        given = read_snippet(snippet, frequency_mhz=frequency_mhz) if snippet is not None else _drawn(template)
        frequency_mhz = given.frequency_mhz if frequency_mhz is None else frequency_mhz
        query = encode_query(survey, given.power)
    term = term_of(survey, frequency_weight, frequency_mhz)
    return lookalikes(index, survey.searched, query, top=top, term=term, collapse=collapse, leave_out=hit)


def encode_query(survey: Survey, power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode one snippet (16, 256) with the survey's own encoder.

    Raises
    ------
    SurveyRefused
        MODEL_CHANGED, when that is no longer the model that made the survey's latents.
    """
    from rrs_core.describe import checkpoints

    encoder = checkpoints.load(survey.settings.encode.model)
    check_made_by(survey, encoder)
    latents: NDArray[np.float32] = encoder.encode(power[None])
    return np.asarray(latents[0])


def check_made_by(survey: Survey, encoder: Encoder) -> None:
    """Refuse an encoder that is not the one that made the survey's latents.

    Raises
    ------
    SurveyRefused
        MODEL_CHANGED.
    """
    made_by = (survey.store.manifest("encode") or {}).get("model_sha256", encoder.digest)
    if made_by != encoder.digest:
        raise SurveyRefused(
            "MODEL_CHANGED",
            "the survey's latents were made by another version of its model",
            where=survey.name,
            got=f"model {survey.settings.encode.model}, version {encoder.digest[:12]}",
            expected=f"version {made_by[:12]}",
            todo=f"run rrs encode {survey.store.root}, then rrs project {survey.store.root}",
        )


def _drawn(template: Path | None) -> Snippet:
    """Draw the signal that a template describes, on noise.

    Keys: family (any of the simulator's), and optionally snr, drift_rate_hz_s, width_hz,
    frequency_mhz, seed.
    """
    from rrs_core.simulate.families import draw, render
    from rrs_core.simulate.noise import observe_signal

    assert template is not None
    try:
        given = tomllib.loads(template.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused("TEMPLATE", f"not a readable TOML file: {error}", where=template) from error
    known = {"family", "snr", "drift_rate_hz_s", "width_hz", "frequency_mhz", "seed"}
    numbers = {key: value for key, value in given.items() if key != "family"}
    described = set(given) <= known and isinstance(given.get("family"), str)
    seed = numbers.get("seed", 0)
    described &= type(seed) is int and seed >= 0
    positive = [numbers[key] for key in ("snr", "width_hz") if key in numbers]
    described &= all(type(value) in (int, float) and value > 0 for value in positive)
    if not described or not all(type(v) in (int, float) and math.isfinite(v) for v in numbers.values()):
        raise SettingsRefused(
            "TEMPLATE",
            "a template describes one signal",
            where=template,
            got=sorted(given),
            expected=f"family, and finite numbers from {sorted(known - {'family'})}: seed whole, snr and width above 0",
        )
    rng = np.random.default_rng(numbers.pop("seed", 0))
    frequency_mhz = numbers.pop("frequency_mhz", None)
    source = draw(given["family"], rng, frequency_mhz, numbers.pop("snr", 40.0), **numbers)
    return Snippet(observe_signal(render(source), rng), frequency_mhz, f"simulated {given['family']}")
