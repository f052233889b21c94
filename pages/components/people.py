"""Who is looking, and what they may do: the one place that pages ask."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "labeller", "admin"]


@dataclass(frozen=True)
class Person:
    """Who is looking.

    Attributes
    ----------
    name : str
        What is written beside a label; nothing that the browser could choose.
    role : {"viewer", "labeller", "admin"}
        A viewer changes nothing; a labeller labels; an admin starts campaigns too.
    """

    name: str
    role: Role

    @property
    def may_label(self) -> bool:
        """Tell whether labels, comments, names and selections may be written."""
        return self.role != "viewer"


def who() -> Person:
    """Return who is looking: on one's own machine its user, who may do everything."""
    return Person(os.environ.get("RRS_PERSON") or getpass.getuser(), "admin")
