"""Page: all hits in a table and a plot, filtered; the filters are in the page's address."""

from __future__ import annotations

from pages.components import frame, hit_table
from rrs_core.errors import RRSError

frame.begin("Hits")
survey = frame.hits_or_stop("There are no hits yet.")
try:
    hit_table.show(survey)
except RRSError as error:
    frame.refusal(error)
