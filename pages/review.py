"""Page: hits one after the other, labelled by the keyboard."""

from __future__ import annotations

from pages.components import frame, label_files, review, review_queue
from rrs_core.errors import RRSError

frame.begin("Review")
survey = frame.hits_or_stop("There are no hits to review yet.")
try:
    word = review_queue.choose(survey)
    if word is not None:
        review.desk(word)
    label_files.show(survey)
except RRSError as error:
    frame.refusal(error)
