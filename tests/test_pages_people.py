"""Pages for people of every kind: who is let in, and what a viewer, a labeller and an admin find there."""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import streamlit as st
from apps import ROOT, opened, words
from make_survey import make_survey

from pages.components import loaders, people
from rrs_core import serving
from rrs_core.errors import AccessRefused
from rrs_core.survey import labels
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

ROLES = """
[people]
"ada@observatory.example" = "admin"
"lab@observatory.example" = "labeller"
"eve@observatory.example" = "viewer"
"""
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__")
SECRET = "HIP4436"  #: a name of the survey's, which nobody may read who is not let in


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_survey(tmp_path_factory.mktemp("surveys") / "shared", n_hits=20)


@pytest.fixture
def roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of roles, and people who sign in; nobody has yet."""
    path = tmp_path / "roles.toml"
    path.write_text(ROLES)
    monkeypatch.setenv(serving.ROLES, f"{path}")
    monkeypatch.setattr(people, "sign_in", lambda: "oidc")
    signed_in(monkeypatch)
    return path


def signed_in(monkeypatch: pytest.MonkeyPatch, email: str = "", **more: object) -> None:
    """Be somebody, as `st.user` tells after a sign-in; without a name nobody."""
    told = {"is_logged_in": True, "email": email, "email_verified": True, "iat": time.time(), **more}

    class User:
        def to_dict(self) -> dict[str, Any]:
            return told if email else {"is_logged_in": False}

    monkeypatch.setattr(st, "user", User())


def is_shut(app: AppTest) -> bool:
    """Tell whether nothing of the survey is shown: no name, no number, no picture, no input, and one button at most."""
    kinds = ("metric", "dataframe", "plotly_chart", "text_input", "selectbox", "file_uploader", "bidi_component")
    shown = [kind for kind in kinds if app.get(kind)]
    return SECRET not in words(app) and "hits" not in words(app) and not shown and len(app.button) <= 1


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_shown_without_sign_in(page: str, made: Path, roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(page, made, monkeypatch)
    assert is_shut(app)
    assert app.button(key="door.sign_in").label == "Sign in"
    signed_in(monkeypatch, "eve@observatory.example")
    shown = opened(page, made, monkeypatch)
    assert shown.title[0].value != app.title[0].value


def test_the_sidebar_says_who_is_signed_in(made: Path, roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, "eve@observatory.example")
    side = opened("overview", made, monkeypatch).sidebar
    assert "Signed in as **eve@observatory\\.example**, viewer" in side.caption[0].value
    assert side.button[0].label == "Sign out"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_begins_at_the_door(page: str) -> None:
    """A page is a file of its own that somebody could make Streamlit run alone: its first line asks who is looking."""
    tree = ast.parse((ROOT / "pages" / f"{page}.py").read_text(encoding="utf-8"))
    first = next(node for node in tree.body[1:] if not isinstance(node, ast.Import | ast.ImportFrom))
    assert ast.unparse(first).startswith("frame.begin("), ast.unparse(first)


@pytest.mark.parametrize(
    ("email", "more", "code"),
    [
        ("mallory@elsewhere.example", {}, "NO_ACCESS"),
        ("ada@observatory.example", {"email_verified": False}, "UNVERIFIED"),
        ("ada@observatory.example", {"email_verified": None}, "UNVERIFIED"),
        ("ada@observatory.example", {"iat": time.time() - 13 * 3600}, "SIGN_IN_OLD"),
        ("<b>x</b>@elsewhere.example", {}, "UNVERIFIED"),
    ],
)
def test_whoever_may_not_is_told_so_in_words(
    email: str, more: dict[str, object], code: str, made: Path, roles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(monkeypatch, email, **more)
    app = opened("map", made, monkeypatch)
    assert is_shut(app)
    assert (code == "SIGN_IN_OLD") == (app.button[0].key == "door.sign_in")
    assert code == "SIGN_IN_OLD" or code in words(app)


def test_whoever_is_taken_out_of_the_roles_is_out_at_the_next_click(
    made: Path, roles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(monkeypatch, "lab@observatory.example")
    app = opened("hits", made, monkeypatch)
    assert not is_shut(app)
    roles.write_text(ROLES.replace("lab@", "other@"))
    app.run()
    assert is_shut(app)
    roles.write_text(ROLES.replace('lab@observatory.example" = "labeller', 'lab@observatory.example" = "admin'))
    assert people.who().role == "admin"


def test_nothing_is_read_for_whoever_is_not_let_in(made: Path, roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a page can run again without the page: what it reads asks, too."""
    monkeypatch.setenv(serving.SURVEY, f"{made}")
    with pytest.raises(AccessRefused, match="nobody is signed in"):
        loaders.survey()
    signed_in(monkeypatch, "eve@observatory.example")
    assert len(loaders.survey().hits) == 20


@pytest.mark.parametrize("broken", ["", "[persons]", None])
def test_roles_that_cannot_be_used_let_nobody_in_and_tell_nobody_why(
    broken: str | None, made: Path, roles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(monkeypatch, "ada@observatory.example")
    if broken is None:
        roles.unlink()
    else:
        roles.write_text(broken)
    app = opened("overview", made, monkeypatch)
    assert is_shut(app)
    assert roles.name not in words(app)
    assert "persons" not in words(app)


@pytest.mark.parametrize("role", ["viewer", "labeller", "admin"])
def test_each_role_may_do_what_it_may_and_no_more(
    role: str, made: Path, roles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"viewer": "eve", "labeller": "lab", "admin": "ada"}[role]
    signed_in(monkeypatch, f"{name}@observatory.example")
    person = people.who()
    assert (person.name, person.role) == (f"{name}@observatory.example", role)
    assert person.may_label == (role != "viewer")
    assert person.may_start == (role == "admin")
    app = opened("recovery", made, monkeypatch)
    assert [one.label for one in app.button if one.key == "recovery.start"] == ["Start"] * (role == "admin")
    monkeypatch.setenv(serving.READ_ONLY, "1")
    assert people.who() == people.Person(person.name, "viewer")


LABELLING = """
import streamlit as st
from pages.components import labelling
labelling.show(HIT, key="test")
"""


def labelling(hit_id: int, survey: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    from streamlit.testing.v1 import AppTest

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RRS_SURVEY", f"{survey}")
    return AppTest.from_string(LABELLING.replace("HIT", f"{hit_id}"), default_timeout=60).run()


def test_a_viewer_finds_nothing_writable_and_a_labeller_labels(
    tmp_path: Path, roles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = make_survey(tmp_path / "labelled", n_hits=5)
    signed_in(monkeypatch, "eve@observatory.example")
    app = labelling(1, survey, monkeypatch)
    assert not app.exception
    assert [len(app.get(kind)) for kind in ("button", "text_input", "text_area")] == [0, 0, 0]
    signed_in(monkeypatch, "lab@observatory.example")
    app = labelling(1, survey, monkeypatch)
    app.button(key="test.noise").click().run()
    rows = labels.Labels(survey / labels.FILE).rows()
    assert rows[["person", "hit_id", "label"]].to_numpy().tolist() == [["lab@observatory.example", 1, "noise"]]


def test_a_click_of_a_labeller_who_no_longer_is_one_writes_nothing(
    tmp_path: Path, roles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = make_survey(tmp_path / "labelled", n_hits=5)
    signed_in(monkeypatch, "lab@observatory.example")
    app = labelling(1, survey, monkeypatch)
    roles.write_text(ROLES.replace('"labeller"', '"viewer"'))
    app.button(key="test.noise").click().run()  # the page was drawn before
    assert not app.exception
    assert [error.value for error in app.error if "READ_ONLY" in error.value]
    assert labels.Labels(survey / labels.FILE).rows().empty


def test_a_public_copy_has_no_uploads_no_labels_no_campaigns_and_says_so(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(serving.PUBLIC, "1")
    assert people.who() == people.Person(people.VISITOR, "viewer")
    app = opened("lookalikes", made, monkeypatch)
    assert not app.get("file_uploader")
    assert not app.get("download_button")
    assert "nothing can be uploaded" in words(app)
    app = opened("lookalikes", made, monkeypatch, hit=f"{load(made).strongest()}")
    assert not app.error
    recovery = opened("recovery", made, monkeypatch)
    assert not recovery.button
    assert [line.split("#")[0].strip() for one in recovery.code for line in one.value.splitlines()] == [
        "rrs recover SURVEY --quick", "rrs recover SURVEY",
    ]  # fmt: skip


def test_folders_of_the_server_are_named_to_its_admins_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{tmp_path}" in words(opened("map", tmp_path, monkeypatch))
    monkeypatch.setenv(serving.READ_ONLY, "1")
    assert f"{tmp_path}" not in words(opened("map", tmp_path, monkeypatch))


# Which machine's user is an admin


@pytest.mark.parametrize(("address", "open_", "admitted"), [
    ("127.0.0.1", "", True), ("::1", "", True), ("0.0.0.0", "", False), (None, "", False), ("0.0.0.0", "1", True),
])  # fmt: skip
def test_without_sign_in_only_ones_own_machine_is_let_in(
    address: str | None, open_: str, admitted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"server.address": address, "secrets.files": []}
    monkeypatch.setattr(st, "get_option", given.__getitem__)
    monkeypatch.setattr(people, "sign_in", lambda: "")
    monkeypatch.setenv(serving.OPEN, open_)
    monkeypatch.setenv("RRS_PERSON", "me")
    if admitted:
        assert people.who() == people.Person("me", "admin")
    else:
        with pytest.raises(AccessRefused) as caught:
            people.who()
        assert caught.value.code == "CLOSED"


def test_secrets_that_cannot_be_read_let_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit itself takes a broken file of secrets for none, which would make everybody the machine's user."""
    path = tmp_path / "secrets.toml"
    path.write_text("[auth\n")
    monkeypatch.setattr(st, "get_option", {"secrets.files": [f"{path}"], "server.address": "127.0.0.1"}.__getitem__)
    with pytest.raises(AccessRefused, match="nobody can be let in"):
        people.who()
    path.unlink()
    assert people.who().role == "admin"
    monkeypatch.setenv(serving.SIGN_IN, "oidc")  # it was configured when the server was started
    with pytest.raises(AccessRefused, match="nobody can be let in"):
        people.who()


def test_a_proxy_says_who_signed_in(roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "sign_in", lambda: "proxy")
    monkeypatch.setattr(st, "session_state", {})
    signed_in(monkeypatch, "lab@observatory.example")
    assert people.who() == people.Person("lab@observatory.example", "labeller")
    st.session_state[people.SINCE] = time.time() - 13 * 3600
    with pytest.raises(AccessRefused, match="older"):
        people.who()
    signed_in(monkeypatch)
    with pytest.raises(AccessRefused, match="nobody is signed in"):
        people.who()
