"""Who is looking, and what they may do: the one place that pages ask.

Asked anew at every run and every click, so whoever is taken out of the roles is out
at their next click. Everything that is not settled is a refusal: no file of roles, a
broken one, secrets that cannot be read, a server that others reach without sign-in.
"""

from __future__ import annotations

import getpass
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from rrs_core import access, serving
from rrs_core.access import Role
from rrs_core.errors import AccessRefused, RRSError

VISITOR = "visitor"  #: whoever looks at a public copy
SINCE = "people.since"  #: session state: when a browser that a proxy vouches for came [s since 1970]
log = logging.getLogger(__name__)


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

    @property
    def may_start(self) -> bool:
        """Tell whether campaigns may be started and stopped."""
        return self.role == "admin"


def who() -> Person:
    """Return who is looking: on one's own machine its user, who may do everything.

    Raises
    ------
    AccessRefused
        SIGN_IN, for somebody who has not signed in; UNVERIFIED, SIGN_IN_OLD and NO_ACCESS, for somebody who has, see
        `access.role_of`; CLOSED, where the server is set up so that nobody can be let in.
    """
    if is_public():
        return Person(VISITOR, "viewer")
    kind = sign_in()
    person = Person(*_signed_in(kind)) if kind else _own_machine()
    return Person(person.name, "viewer") if serving.is_set(os.environ, serving.READ_ONLY) else person


def is_public() -> bool:
    """Tell whether this is a copy for everybody: only looked at, no sign-in, no uploads."""
    return serving.is_set(os.environ, serving.PUBLIC)


def sign_in() -> str:
    """Return how people sign in: "oidc", at a provider; "proxy", at a proxy in front; "": not at all.

    Raises
    ------
    AccessRefused
        CLOSED, where a file of secrets is there but cannot be read, or sign-in was configured and is gone.
    """
    asked = os.environ.get(serving.SIGN_IN, "")
    if asked == "proxy":
        return asked
    files = [Path(f"{one}") for one in st.get_option("secrets.files")]
    readable = st.secrets.load_if_toml_exists()
    if readable and "auth" in st.secrets:
        return "oidc"
    if asked or (not readable and any(path.exists() for path in files)):
        raise _closed("sign-in is configured, but the file of secrets cannot be read")
    return ""


def _own_machine() -> Person:
    """Return the machine's user; refuse where others reach the server and nobody said that this is meant."""
    address = st.get_option("server.address") or ""
    if not (access.is_loopback(address) or serving.is_set(os.environ, serving.OPEN)):
        raise _closed(f"others reach this server at {address or 'every address'}, and sign-in is not configured")
    return Person(os.environ.get("RRS_PERSON") or getpass.getuser(), "admin")


def _signed_in(kind: str) -> tuple[str, Role]:
    claims = _claims_of_proxy() if kind == "proxy" else st.user.to_dict()
    if not (claims.get("email") if kind == "proxy" else claims.get("is_logged_in")):
        raise AccessRefused("SIGN_IN", "nobody is signed in here")
    path = os.environ.get(serving.ROLES)
    if not path:
        raise _closed("people sign in, but no file of roles says who may do what")
    try:
        roles = access.load(Path(path))
    except RRSError as error:
        raise _closed(f"{error}") from error
    return access.role_of(roles, claims, time.time())


def _claims_of_proxy() -> dict[str, object]:
    """Return what the proxy vouches for: an address that it has had verified, since this browser's connection began."""
    since = st.session_state.setdefault(SINCE, time.time())
    return {"email": st.user.to_dict().get("email"), "email_verified": True, "iat": since}


def _closed(why: str) -> AccessRefused:
    """Return a refusal that tells nobody how the server is set up; the reason goes to its log."""
    log.error("nobody is let in: %s", why)
    return AccessRefused("CLOSED", "nobody can be let in just now; the server's log says why")
