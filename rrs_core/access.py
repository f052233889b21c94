"""Who may do what: the file of roles, and what it says of somebody who signed in.

Nothing is granted that the file does not name. An address counts only where the
provider of the sign-in says that it has been verified: anybody can type anybody's.
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

from rrs_core.errors import AccessRefused, SettingsRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Role = Literal["viewer", "labeller", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
KEYS = ("people", "domains", "default", "max_age_hours")
LONGEST_BYTES = 2**20  #: of a file of roles; tens of thousands of people
LONGEST_HOURS = 30 * 24  #: how long Streamlit's own cookie of a sign-in lives
CLOCK_S = 300.0  #: how far the provider's clock may be ahead of ours [s]


@dataclass(frozen=True)
class Roles:
    """What a file of roles says.

    Attributes
    ----------
    people : dict
        Role of each e-mail address, lower case.
    domains : frozenset of str
        Domains, lower case: whoever signs in from one of them has the role `default`.
    default : {"viewer", "labeller", "admin"} or None
        None: nobody but `people`.
    max_age_hours : float
        How long a sign-in counts [h].
    """

    people: Mapping[str, Role] = field(default_factory=dict)
    domains: frozenset[str] = frozenset()
    default: Role | None = None
    max_age_hours: float = 12.0


def load(path: Path) -> Roles:
    """Read a file of roles.

    Raises
    ------
    SettingsRefused
        ROLES, for a file that cannot be read, or says anything that is not understood.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise SettingsRefused("ROLES", f"the roles cannot be read: {error.strerror}", where=path) from error
    if len(text) > LONGEST_BYTES:
        raise SettingsRefused("ROLES", "larger than any file of roles", where=path, expected=f"{LONGEST_BYTES} bytes")
    try:
        return parse(text.decode("utf-8"), f"{path}")
    except UnicodeDecodeError as error:
        raise SettingsRefused("ROLES", f"not a TOML file: {error}", where=path) from error


def parse(text: str, where: str = "roles.toml") -> Roles:
    r"""Return what the text of a file of roles says; `where` names it in refusals.

    Raises
    ------
    SettingsRefused
        ROLES, for text that is not TOML, an unknown key or role, or a value of the wrong kind.

    Examples
    --------
    >>> parse('[people]\n"Ada@Observatory.example" = "admin"').people
    {'ada@observatory.example': 'admin'}
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsRefused("ROLES", f"not a TOML file: {error}", where=where) from error
    for key in tables:
        if key not in KEYS:
            raise SettingsRefused("ROLES", "unknown key", where=where, got=key, expected=", ".join(KEYS))
    domains, default = _domains(tables.get("domains", []), where), tables.get("default")
    if (default is not None) != bool(domains):
        raise SettingsRefused(
            "ROLES", "default and domains belong together: the role, and whose it is", where=where,
            todo='such as default = "viewer" and domains = ["observatory.example"]',
        )  # fmt: skip
    hours = tables.get("max_age_hours", Roles.max_age_hours)
    if type(hours) not in (int, float) or not 0 < hours <= LONGEST_HOURS:
        raise SettingsRefused(
            "ROLES", "max_age_hours", where=where, got=hours, expected=f"hours, more than 0, at most {LONGEST_HOURS}"
        )
    return Roles(
        _people(tables.get("people", {}), where),
        domains,
        None if default is None else _role(default, "default", where),
        float(hours),
    )


def role_of(roles: Roles, claims: Mapping[str, object], now_s: float) -> tuple[str, Role]:
    """Return the e-mail address of somebody who signed in, lower case, and the role.

    Parameters
    ----------
    roles : Roles
        What the file says.
    claims : mapping
        What the provider says of the person: email, email_verified, iat (when they signed in).
    now_s : float
        The time now [s since 1970].

    Raises
    ------
    AccessRefused
        UNVERIFIED, for an address that the provider does not vouch for; SIGN_IN_OLD, for a sign-in that no longer
        counts; NO_ACCESS, for an address that the file does not name.
    """
    email = claims.get("email")
    if not isinstance(email, str) or not _is_address(email.strip().lower()):
        raise AccessRefused("UNVERIFIED", "the provider of the sign-in gives no e-mail address")
    email = email.strip().lower()
    verified = claims.get("email_verified")
    if not (verified is True or verified == "true"):  # some providers send words
        raise AccessRefused(
            "UNVERIFIED", "the provider of the sign-in does not say that this e-mail address is verified", got=email,
            todo="verify the address there, then sign in again",
        )  # fmt: skip
    began_s = claims.get("iat")
    if type(began_s) not in (int, float):
        raise AccessRefused("SIGN_IN_OLD", "the provider does not say when you signed in")
    age_s = now_s - cast("float", began_s)
    if not -CLOCK_S <= age_s < 3600 * roles.max_age_hours:
        raise AccessRefused(
            "SIGN_IN_OLD", f"a sign-in counts for {roles.max_age_hours:g} hours, and this one is older",
            todo="sign in again",
        )  # fmt: skip
    if (named := roles.people.get(email)) is not None:
        return email, named
    if roles.default is not None and email.rsplit("@", 1)[1] in roles.domains:
        return email, roles.default
    raise AccessRefused(
        "NO_ACCESS", "this address has no access to the survey", got=email,
        todo="ask whoever runs this server to add it to the roles",
    )  # fmt: skip


def is_loopback(address: str) -> bool:
    """Tell whether a server that listens there is reached from its own machine alone.

    Examples
    --------
    >>> [is_loopback(address) for address in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.5", "")]
    [True, True, True, False, False, False]
    """
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a name: where it leads can change
        return False


def _people(table: object, where: str) -> dict[str, Role]:
    if not isinstance(table, dict):
        raise SettingsRefused("ROLES", "people", where=where, got=table, expected='a table: "e-mail" = "role"')
    people: dict[str, Role] = {}
    for name, role in table.items():
        email = name.strip().lower()
        if not _is_address(email):
            raise SettingsRefused("ROLES", "not an e-mail address", where=f"{where} [people]", got=name)
        if email in people:
            raise SettingsRefused("ROLES", "an address twice, however it is spelt", where=where, got=name)
        people[email] = _role(role, name, where)
    return people


def _domains(given: object, where: str) -> frozenset[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise SettingsRefused("ROLES", "domains", where=where, got=given, expected='a list: ["observatory.example"]')
    domains = [one.strip().lower() for one in given]
    for one in domains:
        if not one or not _is_address(f"x@{one}") or "*" in one:
            raise SettingsRefused("ROLES", "not a domain", where=f"{where} domains", got=one)
    return frozenset(domains)


def _role(given: object, whose: str, where: str) -> Role:
    for role in ROLES:
        if given == role:
            return role
    raise SettingsRefused("ROLES", f"role of {whose}", where=where, got=given, expected=" or ".join(ROLES))


def _is_address(text: str) -> bool:
    """Tell whether a text has the shape of an e-mail address: one @, something on both sides, nothing odd."""
    name, at, domain = text.partition("@")
    plain = text.isprintable() and not set(text) & set(' "<>()[],;:\\')
    return bool(name and at and domain) and "@" not in domain and plain and not domain.startswith(".")
