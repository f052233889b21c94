"""Who may do what: the file of roles, and what it grants to whom."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core import access
from rrs_core.access import Roles, is_loopback, parse, role_of
from rrs_core.errors import AccessRefused, SettingsRefused

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = 1_800_000_000.0
HOUR_S = 3600.0
TEXT = """
domains = ["Observatory.example"]
default = "viewer"
max_age_hours = 8

[people]
"Ada@observatory.example" = "admin"
"lab@elsewhere.example" = "labeller"
"""


def claims(email: object = "ada@observatory.example", **more: object) -> dict[str, object]:
    return {"email": email, "email_verified": True, "iat": NOW_S - 60, **more}


def refused(given: dict[str, object], roles: Roles | None = None) -> AccessRefused:
    with pytest.raises(AccessRefused) as caught:
        role_of(roles or parse(TEXT), given, NOW_S)
    return caught.value


def test_each_address_has_the_role_that_the_file_gives_it() -> None:
    roles = parse(TEXT)
    assert role_of(roles, claims("ADA@Observatory.EXAMPLE"), NOW_S) == ("ada@observatory.example", "admin")
    assert role_of(roles, claims("lab@elsewhere.example"), NOW_S) == ("lab@elsewhere.example", "labeller")
    assert role_of(roles, claims("new@observatory.example"), NOW_S) == ("new@observatory.example", "viewer")


@pytest.mark.parametrize(
    "email",
    [
        "x@elsewhere.example", "x@sub.observatory.example", "x@observatory.example.evil", "x@evil-observatory.example",
        "ada@observatory.example@evil.example", "x@evil.example@observatory.example", "evil.example",
        "x@observatory.example\n", "ada@observatory.example, x@evil.example", "", None, 3, ["ada@observatory.example"],
    ],
)  # fmt: skip
def test_nobody_else_gets_in(email: object) -> None:
    if email == "x@observatory.example\n":  # white space around an address is no part of it
        assert role_of(parse(TEXT), claims(email), NOW_S)[1] == "viewer"
    else:
        assert refused(claims(email)).code in ("NO_ACCESS", "UNVERIFIED")


def test_a_file_that_says_nothing_lets_nobody_in() -> None:
    assert refused(claims(), parse("")).code == "NO_ACCESS"


@pytest.mark.parametrize("verified", [False, None, "", "false", 0, 1, "True ", [True]])
def test_an_address_that_is_not_verified_is_refused(verified: object) -> None:
    assert refused(claims(email_verified=verified)).code == "UNVERIFIED"


def test_an_address_of_which_nothing_is_said_is_refused() -> None:
    given = claims()
    del given["email_verified"]
    assert refused(given).code == "UNVERIFIED"


@pytest.mark.parametrize("began", [NOW_S - 8 * HOUR_S, NOW_S - 30 * 24 * HOUR_S, NOW_S + HOUR_S, None, "1", True])
def test_a_sign_in_that_is_old_or_of_no_known_time_no_longer_counts(began: object) -> None:
    assert refused(claims(iat=began)).code == "SIGN_IN_OLD"


@pytest.mark.parametrize("began", [NOW_S, NOW_S + 60, NOW_S - 8 * HOUR_S + 1])
def test_a_sign_in_counts_until_its_age(began: float) -> None:
    assert role_of(parse(TEXT), claims(iat=began), NOW_S)[1] == "admin"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("people", "TOML"),
        ('[person]\n"a@b.example" = "viewer"', "unknown key"),
        ('[people]\n"a@b.example" = "owner"', "viewer or labeller or admin"),
        ('[people]\n"a@b.example" = ["admin"]', "viewer or labeller or admin"),
        ('[people]\n"a b.example" = "viewer"', "not an e-mail address"),
        ('[people]\n"*@b.example" = "viewer"\n"@b.example" = "viewer"', "not an e-mail address"),
        ('[people]\n"A@b.example" = "viewer"\n"a@b.example" = "admin"', "twice"),
        ('people = ["a@b.example"]', "a table"),
        ('default = "viewer"', "belong together"),
        ('domains = ["b.example"]', "belong together"),
        ('default = "viewer"\ndomains = ["*.b.example"]', "not a domain"),
        ('default = "viewer"\ndomains = [""]', "not a domain"),
        ('default = "viewer"\ndomains = "b.example"', "a list"),
        ('default = "nobody"\ndomains = ["b.example"]', "role of default"),
        ("max_age_hours = 0", "hours"),
        ("max_age_hours = 721", "hours"),
        ("max_age_hours = nan", "hours"),
        ("max_age_hours = true", "hours"),
    ],
)
def test_a_bad_file_is_refused_and_named(text: str, told: str) -> None:
    with pytest.raises(SettingsRefused, match=r"team\.toml") as caught:
        parse(text, "team.toml")
    assert caught.value.code == "ROLES"
    assert told in f"{caught.value}"


def test_a_file_that_is_not_there_or_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "roles.toml"
    for content in (None, b"\xff\xfe", b"#" * (access.LONGEST_BYTES + 1)):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SettingsRefused) as caught:
            access.load(path)
        assert caught.value.code == "ROLES"
    path.write_text(TEXT)
    assert access.load(path) == parse(TEXT)


@given(st.dictionaries(st.text(string.printable, max_size=30), st.sampled_from(access.ROLES), max_size=5), st.data())
def test_what_is_granted_is_always_named(people: dict[str, Any], data: st.DataObject) -> None:
    """Against the plain reading: a role is granted only where the lower-case address is a key of the file."""
    roles = Roles(people={name.strip().lower(): role for name, role in people.items()})
    email = data.draw(st.one_of(st.sampled_from(sorted(people) or ["x"]), st.text(string.printable, max_size=30)))
    try:
        name, role = role_of(roles, claims(email), NOW_S)
    except AccessRefused:
        return
    assert roles.people[name] == role


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_what_only_this_machine_reaches(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "10.0.0.5", "localhost.evil.example", "127.0.0.1.example"])
def test_what_others_reach(address: str) -> None:
    assert not is_loopback(address)
