"""Page: what the numbers of a latent mean."""

from __future__ import annotations

from pages.components import frame, latentviews
from rrs_core.errors import RRSError

frame.begin("Latents")
survey = frame.survey_or_stop()
try:
    name = latentviews.usable(latentviews.choose(survey))
    latentviews.followed(name)
    latentviews.decoded(survey, name)
except RRSError as error:
    frame.refusal(error)
