"""Page: what of the injected signals was found again, how encoders compare, and new campaigns."""

from __future__ import annotations

from pages.components import frame, recovery_views
from rrs_core.errors import RRSError

frame.begin("Recovery")
survey = frame.survey_or_stop()
try:
    recovery_views.show(survey)
except RRSError as error:
    frame.refusal(error)
