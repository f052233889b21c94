"""How the dashboard is served: refused where it would be open by accident, and what Streamlit is told."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rrs_core import cli, serving
from rrs_core.errors import SettingsRefused
from rrs_core.serving import Sharing

Serve = Callable[..., tuple[int, str]]
ROLES = '[people]\n"ada@observatory.example" = "admin"\n'


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    path = tmp_path / "roles.toml"
    path.write_text(ROLES)
    return path


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Serve:
    """`rrs serve` in this process: how it ended, and what it said."""
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)  # SIGPIPE is the test runner's own business

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["rrs", "serve", *(f"{argument}" for argument in arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What `rrs serve` becomes is noted here in place of it; no secrets of this machine are read."""
    found: list[Any] = []

    def execve(program: str, command: list[str], environment: dict[str, str]) -> NoReturn:
        found.extend([command, environment])
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(os, "chdir", lambda _: None)
    monkeypatch.setenv("HOME", f"{tmp_path}")
    monkeypatch.setenv(serving.SECRETS, f"{tmp_path / 'secrets.toml'}")
    for name in (serving.ROLES, *serving.FLAGS):
        monkeypatch.delenv(name, raising=False)
    return found


def secrets(tmp_path: Path, text: str = '[auth]\nclient_id = "x"\n') -> None:
    (tmp_path / "secrets.toml").write_text(text)


def option(command: list[str], name: str) -> list[str]:
    return [value for key, value in itertools.pairwise(command) if key == name]


def test_by_default_this_machine_alone_is_served(
    serve: Serve,
    started: list[Any],
    tmp_path: Path,
) -> None:
    code, said = serve(tmp_path, "--port", 8600)
    command, environment = started
    assert code == 0
    assert command[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert option(command, "--server.port") == ["8600"]
    assert option(command, "--server.address") == ["127.0.0.1"]
    assert option(command, "--server.allowedHosts") == ["127.0.0.1", "localhost"]
    assert environment["RRS_SURVEY"] == f"{tmp_path}"
    assert [environment[name] for name in (serving.SIGN_IN, serving.ROLES, *serving.FLAGS)] == [""] * 5
    assert "http://127.0.0.1:8600" in said


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "rrs.example.org"])
def test_to_listen_to_others_without_sign_in_is_refused_in_one_line(
    address: str,
    serve: Serve,
    started: list[Any],
    tmp_path: Path,
) -> None:
    code, said = serve(tmp_path, "--address", address, "--host", "rrs.example.org")
    assert code == 2
    assert not started
    assert said.startswith("rrs: error: [EXPOSED] ")
    assert len(said.splitlines()) == 1
    for way in ("--public", "--without-sign-in", "docs/sharing.md"):
        assert way in said


@pytest.mark.parametrize("way", [["--public"], ["--without-sign-in"], ["--roles"], ["--sign-in-header", "X-Email"]])
def test_each_way_to_share_is_let_through(
    way: list[str],
    serve: Serve,
    started: list[Any],
    tmp_path: Path,
    roles: Path,
) -> None:
    given: list[object] = [*way, roles] if way == ["--roles"] else [*way]
    if way == ["--roles"]:
        secrets(tmp_path)
    if "--sign-in-header" in way:
        given += ["--roles", roles]
    code, said = serve(tmp_path, "--address", "0.0.0.0", "--host", "rrs.example.org", *given)
    assert code == 0, said
    command, environment = started
    assert option(command, "--server.allowedHosts") == ["rrs.example.org", "127.0.0.1", "localhost"]
    assert option(command, "--browser.serverAddress") == ["rrs.example.org"]
    assert environment[serving.PUBLIC] == ("1" if way == ["--public"] else "")
    assert environment[serving.OPEN] == ("1" if way == ["--without-sign-in"] else "")
    assert environment[serving.SIGN_IN] == {"--roles": "oidc", "--sign-in-header": "proxy"}.get(way[0], "")
    assert environment[serving.ROLES] == (f"{roles}" if "--roles" in given else "")
    header = option(command, "--server.trustedUserHeaders")
    assert header == (['{"X-Email": "email"}'] if "--sign-in-header" in way else [])
    assert option(command, "--server.maxUploadSize") == (["0"] if way == ["--public"] else [])


def test_an_address_of_its_own_is_a_name_that_browsers_may_use(tmp_path: Path) -> None:
    given = serving.options(Sharing(address="192.0.2.7"))
    assert option(given, "--server.allowedHosts") == ["192.0.2.7", "127.0.0.1", "localhost"]


def test_every_option_is_one_that_streamlit_knows() -> None:
    from streamlit import config

    asked = Sharing(hosts=("rrs.example.org",), public=True, sign_in_header="X-Email")
    names = {one.removeprefix("--") for one in serving.options(asked) if one.startswith("--")}
    assert names <= set(config.get_config_options())


def test_every_network_is_listened_to_only_under_a_name(roles: Path) -> None:
    with pytest.raises(SettingsRefused, match="--host NAME") as caught:
        serving.sign_in(Sharing(address="0.0.0.0", roles=roles), configured=True)
    assert caught.value.code == "EXPOSED"


@pytest.mark.parametrize("host", ["*", "*.example.org", "http://rrs.example.org", "rrs.example.org:443", " "])
def test_a_host_is_a_plain_name(host: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        serving.sign_in(Sharing(hosts=(host,)), configured=False)
    assert caught.value.code == "USAGE"


@pytest.mark.parametrize(
    ("asked", "configured", "code"),
    [
        ({"roles": True}, False, "USAGE"),  # nobody signs in
        ({"public": True, "roles": True}, True, "USAGE"),
        ({"public": True, "without_sign_in": True}, False, "USAGE"),
        ({"public": True, "sign_in_header": "X-Email"}, False, "USAGE"),
        ({"without_sign_in": True}, True, "USAGE"),
        ({"without_sign_in": True, "sign_in_header": "X-Email"}, False, "USAGE"),
        ({}, True, "ROLES"),  # sign-in, but nothing says who may do what
        ({"sign_in_header": "X-Email"}, False, "ROLES"),
    ],
)
def test_what_does_not_go_together_is_refused(asked: dict[str, Any], configured: bool, code: str, roles: Path) -> None:
    given = {**asked, "roles": roles} if asked.get("roles") else asked
    with pytest.raises(SettingsRefused) as caught:
        serving.sign_in(Sharing(**given), configured)
    assert caught.value.code == code


def test_a_bad_file_of_roles_is_refused_at_the_start(roles: Path) -> None:
    roles.write_text("[persons]")
    with pytest.raises(SettingsRefused, match="unknown key"):
        serving.sign_in(Sharing(roles=roles), configured=True)


def test_secrets_that_cannot_be_read_are_refused_not_passed_over(
    serve: Serve,
    started: list[Any],
    tmp_path: Path,
) -> None:
    secrets(tmp_path, "[auth\n")
    code, said = serve(tmp_path)
    assert code == 2
    assert "[SECRETS]" in said
    assert not started


def test_secrets_without_sign_in_are_no_sign_in(tmp_path: Path) -> None:
    secrets(tmp_path, '[database]\nname = "x"\n')
    assert not serving.sign_in_configured([tmp_path / "secrets.toml", tmp_path / "none.toml"])
    secrets(tmp_path)
    assert serving.sign_in_configured([tmp_path / "none.toml", tmp_path / "secrets.toml"])


def test_a_server_that_was_asked_to_be_read_only_stays_so(tmp_path: Path) -> None:
    def read_only(asked: bool, given: str) -> str:
        made = serving.environment(Sharing(read_only=asked), tmp_path, "", {serving.READ_ONLY: given})
        return made[serving.READ_ONLY]

    assert [read_only(True, ""), read_only(False, "1"), read_only(False, "0")] == ["1", "1", ""]


def test_further_surveys_are_found_from_where_the_server_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {serving.ALSO: os.pathsep.join(["night-2", f"{tmp_path / 'night-3'}"])}
    made = serving.environment(Sharing(), tmp_path, "", given)
    assert made[serving.ALSO].split(os.pathsep) == [f"{tmp_path / 'night-2'}", f"{tmp_path / 'night-3'}"]
    assert serving.environment(Sharing(), tmp_path, "", {})[serving.ALSO] == ""
    asked = Sharing(also=(Path("night-4"), Path("night-2")))
    made = serving.environment(asked, tmp_path, "", given)
    assert made[serving.ALSO].split(os.pathsep) == [f"{tmp_path}/night-{one}" for one in (4, 2, 3)]
