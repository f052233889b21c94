"""How the dashboard is served: to whom, under which names; refused where it would be open to everybody by accident."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rrs_core import access
from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Environment of the dashboard: how `rrs serve` tells it what was asked for.
SURVEY = "RRS_SURVEY"  #: the survey's folder
ALSO = "RRS_ALSO"  #: folders of further surveys, ":" between them, in which lookalikes are searched for too
ROLES = "RRS_ROLES"  #: the file of roles
SIGN_IN = "RRS_SIGN_IN"  #: "oidc" or "proxy": nobody gets in without; empty: the dashboard looks for secrets itself
READ_ONLY = "RRS_READ_ONLY"  #: everybody is a viewer
PUBLIC = "RRS_PUBLIC"  #: everybody is a viewer, nobody signs in, nothing can be uploaded
OPEN = "RRS_WITHOUT_SIGN_IN"  #: whoever reaches the server is its user, an admin
FLAGS = (READ_ONLY, PUBLIC, OPEN)
SECRETS = "STREAMLIT_SECRETS_FILES"  #: Streamlit's own: where secrets.toml lies, if elsewhere
LOCAL_NAMES = ("127.0.0.1", "localhost")  #: as in .streamlit/config.toml
WILDCARDS = ("0.0.0.0", "::")  #: every network


@dataclass(frozen=True)
class Sharing:
    """What `rrs serve` was asked for; by default one's own machine alone.

    Attributes
    ----------
    address, port : str, int
        Where the server listens.
    hosts : tuple of str
        Names under which browsers reach it, beside this machine's own; the first is the public one.
    roles : Path or None
        The file of roles.
    read_only, public, without_sign_in : bool
        See `READ_ONLY`, `PUBLIC`, `OPEN`.
    sign_in_header : str
        Name of the header in which a proxy says who signed in; empty: the dashboard does the sign-in itself.
    also : tuple of Path
        Further surveys, beside those of `ALSO`.
    """

    address: str = LOCAL_NAMES[0]
    port: int = 8501
    hosts: tuple[str, ...] = ()
    roles: Path | None = None
    read_only: bool = False
    public: bool = False
    without_sign_in: bool = False
    sign_in_header: str = ""
    also: tuple[Path, ...] = ()


def is_set(environment: Mapping[str, str], name: str) -> bool:
    """Tell whether one of `FLAGS` is set."""
    return environment.get(name, "") not in ("", "0")


def secrets_files(home: Path, repository: Path, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return where Streamlit looks for secrets.toml."""
    if given := environment.get(SECRETS):
        return [Path(one) for one in given.split()]
    return [folder / ".streamlit" / "secrets.toml" for folder in (home, repository)]


def sign_in_configured(files: Sequence[Path]) -> bool:
    """Tell whether one of the files of secrets has a table [auth].

    Raises
    ------
    SettingsRefused
        SECRETS, for a file that is there but cannot be read: Streamlit would go on as if there were none.
    """
    found = False
    for path in files:
        if path.is_file():
            try:
                found |= "auth" in tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise SettingsRefused("SECRETS", f"cannot be read: {error}", where=path, todo="mend it") from error
    return found


def sign_in(asked: Sharing, configured: bool) -> str:
    """Return how people sign in, as `SIGN_IN` has it, after checking that what was asked for goes together.

    Raises
    ------
    SettingsRefused
        EXPOSED, for a server that others reach without sign-in; USAGE, for options that contradict each other;
        ROLES, where people would sign in but nothing says who may do what, and for a bad file of roles.
    """
    kind = "" if asked.public else "proxy" if asked.sign_in_header else "oidc" if configured else ""
    if asked.public and (asked.roles or asked.sign_in_header or asked.without_sign_in):
        raise SettingsRefused("USAGE", "--public lets everybody look, and nobody signs in", todo="leave out the others")
    if asked.without_sign_in and (kind or asked.roles):
        raise SettingsRefused("USAGE", "--without-sign-in, but sign-in is configured", todo="leave one of them out")
    if asked.roles and not kind:
        raise SettingsRefused(
            "USAGE", "--roles says who may do what, but nobody signs in", where=asked.roles,
            todo="put [auth] into .streamlit/secrets.toml, or give --sign-in-header; see docs/sharing.md",
        )  # fmt: skip
    loopback = access.is_loopback(asked.address)
    if not (loopback or kind or asked.public or asked.without_sign_in):
        raise SettingsRefused(
            "EXPOSED", "others would reach this server, and nobody would have to sign in", got=asked.address,
            todo="set up sign-in (docs/sharing.md), or give --public for a copy that is only looked at, or "
            "--without-sign-in",
        )  # fmt: skip
    if asked.address in WILDCARDS and not asked.hosts:
        raise SettingsRefused(
            "EXPOSED", "under which name do browsers reach this server?", got=asked.address,
            todo="--host NAME: any other is turned away, or a foreign web page could reach it by a name of its own",
        )  # fmt: skip
    if kind and asked.roles is None:
        raise SettingsRefused(
            "ROLES", "people sign in, but nothing says who may do what",
            todo="--roles FILE; an example is deploy/roles.example.toml",
        )  # fmt: skip
    if asked.roles is not None:
        access.load(asked.roles)
    for host in asked.hosts:
        if "*" in host or "/" in host or ":" in host or not host.strip():
            raise SettingsRefused("USAGE", "--host takes a plain name", got=host, expected="such as rrs.example.org")
    return kind


def options(asked: Sharing) -> list[str]:
    """Return Streamlit's options, beside those of .streamlit/config.toml."""
    own = [] if asked.address in (*WILDCARDS, *LOCAL_NAMES) else [asked.address]
    given = ["--server.port", f"{asked.port}", "--server.address", asked.address]
    for name in (*asked.hosts, *own, *LOCAL_NAMES):
        given += ["--server.allowedHosts", name]
    if asked.hosts:
        given += ["--browser.serverAddress", asked.hosts[0]]
    if asked.sign_in_header:
        given += ["--server.trustedUserHeaders", json.dumps({asked.sign_in_header: "email"})]
    if asked.public:
        given += ["--server.maxUploadSize", "0"]  # MB: what no page asks for is not taken either
    return given


def environment(asked: Sharing, survey: Path, kind: str, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of the dashboard: the given one, and what was asked for; `kind` is that of `sign_in`."""
    flags = {READ_ONLY: asked.read_only or is_set(given, READ_ONLY), PUBLIC: asked.public, OPEN: asked.without_sign_in}
    named = [*asked.also, *(Path(folder) for folder in given.get(ALSO, "").split(os.pathsep) if folder)]
    also = dict.fromkeys(f"{folder.resolve()}" for folder in named)
    return {
        **given,
        ALSO: os.pathsep.join(also),
        SURVEY: f"{survey.resolve()}",
        SIGN_IN: kind,
        ROLES: f"{asked.roles.resolve()}" if asked.roles else "",
        **{name: "1" if flag else "" for name, flag in flags.items()},
    }
