"""What deploy/ holds is what the code understands, and every setting in it is explained."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import streamlit
from typer.main import get_command

from rrs_core import access, cli, serving

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SHARING = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")


def text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def test_the_example_of_roles_is_one() -> None:
    roles = access.load(DEPLOY / "roles.example.toml")
    assert set(roles.people.values()) == {"admin", "labeller"}
    assert (roles.default, roles.max_age_hours) == ("viewer", 12)
    assert all(f"#   {role}" in text("roles.example.toml") for role in access.ROLES)


def test_the_example_of_secrets_has_all_that_streamlit_asks_for() -> None:
    path = DEPLOY / "secrets.example.toml"
    assert serving.sign_in_configured([path])
    auth = tomllib.loads(path.read_text(encoding="utf-8"))["auth"]
    assert set(auth) >= {"redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url"}
    assert auth["redirect_uri"].endswith("/oauth2callback")
    assert {"openid", "email"} <= set(auth["client_kwargs"]["scope"].split())


def test_no_secret_can_be_committed_or_built_into_an_image() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    left_out = text("Dockerfile.dockerignore").splitlines()
    for name in (".streamlit/secrets.toml", "deploy/.env", "deploy/roles/"):
        assert name in ignored
        assert name in left_out


def test_the_proxy_stops_what_the_uploader_would_stop_a_little_later() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    (limit,) = re.findall(r"client_max_body_size (\d+)m;", text("nginx.conf"))
    assert 0 < int(limit) - config["server"]["maxUploadSize"] <= 2
    assert "large_client_header_buffers 4 32k;" in text("nginx.conf")


def test_the_code_within_streamlits_own_page_is_the_one_that_the_proxy_lets_run() -> None:
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    within = re.findall(r"<script(?![^>]*src)[^>]*>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in within]
    (allowed,) = re.findall(r"script-src ([^;]*);", text("nginx.conf"))
    assert allowed == "'self' blob: 'unsafe-eval' " + " ".join(f"'sha256-{digest}'" for digest in digests)


def test_compose_starts_what_rrs_serve_understands(tmp_path: Path) -> None:
    lines = re.findall(r"^      - (--\S+|serve|/survey)$", text("compose.yaml"), re.MULTILINE)
    given = [line.replace("${RRS_HOST:?}", "rrs.example.org") for line in lines]
    assert given[0] == "serve"
    command = get_command(cli.app).commands["serve"]  # type: ignore[attr-defined]
    asked = command.make_context("serve", [*given[1:]]).params
    roles = tmp_path / "roles.toml"
    roles.write_text(text("roles.example.toml"))
    sharing = serving.Sharing(
        address=asked["address"], hosts=tuple(asked["host"]), roles=roles, sign_in_header=asked["sign_in_header"]
    )
    assert serving.sign_in(sharing, configured=False) == "proxy"
    assert f"proxy_set_header {asked['sign_in_header']} $who;" in text("nginx.conf")


def test_the_container_runs_as_nobody_and_says_whether_it_lives() -> None:
    docker = text("Dockerfile")
    assert docker.rindex("USER 10001:10001") < docker.index("ENTRYPOINT")
    assert "HEALTHCHECK" in docker
    assert "requirements.txt" in docker
    compose = text("compose.yaml")
    assert compose.count("<<: *hardened") == 3
    assert re.findall(r"^    ports: (.*?) +#", compose, re.MULTILINE) == ['["80:80", "443:443"]']


@pytest.mark.parametrize(
    "name", ["nginx.conf", "compose.yaml", "roles.example.toml", "secrets.example.toml", "Dockerfile"]
)
def test_every_setting_is_explained_where_it_stands_or_just_above(name: str) -> None:
    """A comment on the line, or one above it with no empty line between; a block's own head needs none."""
    head = re.compile(r"\[\w+\]|<<: \*hardened|.*[{:]")
    explained = False
    for line in text(name).splitlines():
        bare = line.strip()
        if not bare:
            explained = False
        elif "#" in bare:
            explained = True
        elif re.search(r"\w", bare) and not head.fullmatch(bare):
            assert explained, line
    assert f"`deploy/{name}`" in SHARING or f"deploy/{name})" in SHARING


def test_every_option_of_serve_is_in_the_docs() -> None:
    command = get_command(cli.app).commands["serve"]  # type: ignore[attr-defined]
    for parameter in command.params:
        for option in parameter.opts:
            assert not option.startswith("--") or f"`{option}" in SHARING, option
