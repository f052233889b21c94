"""deploy/nginx.conf in a real nginx on this machine: what passes to the dashboard, for whom, and what never does."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from browser import FLAGS, LONG_MS, Watch, chromium, settled
from make_survey import make_survey
from playwright.sync_api import sync_playwright
from sharing import HOST, ROLES, WEBSOCKET, Answer, SignIn, ask, proxy, session, shared, sign_in_at_proxy, trusting

from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
HEADER = "X-Forwarded-Email"
EVE = "_oauth2_proxy=eve@observatory.example"


class Site(NamedTuple):
    """A dashboard behind nginx."""

    address: str  #: as browsers know it
    port: int  #: of this machine
    dashboard: str  #: behind the proxy
    who: type[SignIn]
    survey: Path

    def ask(self, path: str, **headers: str) -> Answer:
        """Ask at the proxy."""
        return ask(self.address, path, port=self.port, **headers)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("deployed")
    survey = make_survey(folder / "survey", n_hits=20)
    roles = folder / "roles.toml"
    roles.write_text(ROLES)
    asked = ("--roles", f"{roles}", "--sign-in-header", HEADER, "--host", HOST)
    with (
        sign_in_at_proxy() as (at, who),
        shared(survey, folder, *asked) as dashboard,
        proxy(folder, dashboard, at) as port,
    ):
        yield Site(f"https://{HOST}:{port}", port, dashboard, who, survey)


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A page in a Chromium that takes this machine for `HOST`."""
    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--host-resolver-rules=MAP {HOST} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(LONG_MS)
        yield context.new_page()
        browser.close()


#: What a browser that has not signed in is told; 302 leads to the sign-in.
SIGNED_OUT = {
    "/": 302,
    "/map": 302,
    "/static/js/index.js": 302,
    "/app/static/points.bin": 302,
    "/component/x/index.html": 302,
    "/oauth2callback": 302,
    "/auth/login": 302,
    "/media/abc.npy": 401,
    "/_stcore/host-config": 401,
    "/_stcore/stream": 401,
    "/_stcore/upload_file/a/b": 401,
    "/_stcore/bidi-components/x/y.js": 401,
    "/_stcore/metrics": 404,
    "/_stcore/agent/mcp": 404,
    "/_stcore/agent/openapi.json": 404,
    "/_stcore/script-health-check": 404,
    "/oauth2/auth": 404,
    "/_stcore/health": 200,
}


@pytest.mark.parametrize("path", SIGNED_OUT)
def test_whoever_has_not_signed_in_gets_nothing_but_the_sign_in(path: str, site: Site) -> None:
    answer = site.ask(path, **(WEBSOCKET if path == "/_stcore/stream" else {}))
    assert answer.status == SIGNED_OUT[path]
    if answer.status == 302:
        assert answer.headers["location"] == path
        assert answer.headers["set-cookie"].startswith("_oauth2_proxy=")
    assert answer.status != 200 or answer.body == b"ok"


@pytest.mark.parametrize("path", ["/_stcore/upload_file/a/b", "/media/abc.npy"])
def test_nothing_is_sent_in_without_sign_in(path: str, site: Site) -> None:
    assert ask(site.address, path, method="PUT", port=site.port, Content_Length="0").status == 401


@pytest.mark.parametrize(
    "path",
    [
        "//_stcore/metrics", "/_stcore//metrics", "/_stcore/./metrics", "/x/../_stcore/metrics", "/_stcore/%6detrics",
        "/%5fstcore/metrics", "/_stcore/agent%2fmcp", "/_stcore/x/../agent/mcp", "/_stcore/metrics/",
        "/_stcore/METRICS",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_goes_around_the_rules(path: str, site: Site) -> None:
    """Signed in, too: the numbers of the server and the second way in are nobody's."""
    assert site.ask(path).status in (302, 400, 401, 404)
    inside = site.ask(path, Cookie=EVE)
    assert inside.status in (301, 400, 404) or b"<html" in inside.body
    assert b"# HELP" not in inside.body


def test_a_page_is_drawn_through_the_proxy_and_leads_to_where_one_wanted(page: Page, site: Site) -> None:
    site.who.person = "eve@observatory.example"
    watch, wanted = Watch(page), f"{site.address}/lookalikes?hit={load(site.survey).strongest()}"
    page.goto(wanted)
    page.locator(".tile").first.wait_for()
    assert page.url == wanted
    page.get_by_text("Signed in as eve@observatory.example, viewer").wait_for()
    assert page.get_by_role("button", name="Sign out").count() == 0  # that is the proxy's
    page.get_by_role("link", name="Map").click()
    page.locator(".js-plotly-plot").first.wait_for()
    settled(page)  # drawn: an error of what draws would be seen by now
    page.get_by_role("link", name="Hits").click()
    page.get_by_role("heading", name="Hits", exact=True).wait_for()
    page.locator(".js-plotly-plot .gl-canvas").first.wait_for()
    settled(page)
    assert page.get_by_text("WebGL is not supported").count() == 0
    watch.foreign = [url for url in watch.foreign if not url.startswith((site.address, f"wss://{HOST}:"))]
    assert watch.is_clean()


def test_an_upload_and_a_download_pass_through(page: Page, site: Site, tmp_path: Path) -> None:
    site.who.person = "eve@observatory.example"
    survey = load(site.survey)
    path = tmp_path / "snippet.npy"
    np.save(path, survey.snippet(survey.strongest()))
    page.goto(f"{site.address}/lookalikes")
    with page.expect_download() as sample:
        page.get_by_role("button", name="Sample snippet").click()
    assert sample.value.path().read_bytes() == path.read_bytes()
    media = sample.value.url.removeprefix(site.address)
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("heading", name="Upload snippet.npy").wait_for()
    page.locator(".tile").first.wait_for()
    # What that browser was given is given to nobody who has not signed in, though the address is known.
    assert media.startswith("/media/")
    assert site.ask(media).status == 401
    assert site.ask(media, Cookie=EVE).status == 200
    assert ask(site.dashboard, media).status == 200  # beside the proxy it would be


def test_somebody_without_a_role_is_told_so(page: Page, site: Site) -> None:
    site.who.person = "mallory@observatory.example"
    page.goto(site.address)
    page.get_by_text("NO_ACCESS").wait_for()
    assert page.locator("canvas, input, .js-plotly-plot").count() == 0


def test_people_who_share_an_address_open_the_page_together(site: Site) -> None:
    """One file of JavaScript turned away is a blank page: ten browsers that open one ask for 110 things each."""

    def opened() -> Counter[int]:
        line = HTTPConnection(HOST)
        with trusting().wrap_socket(
            socket.create_connection(("127.0.0.1", site.port)), server_hostname=HOST
        ) as line.sock:
            return Counter(status(line) for _ in range(110))

    def status(line: HTTPConnection) -> int:
        line.request("GET", "/_stcore/health")
        with line.getresponse() as answer:
            answer.read()
            return answer.status

    with ThreadPoolExecutor(10) as pool:
        told = list(pool.map(lambda _: opened(), range(10)))
    assert told == [Counter({200: 110})] * 10


def test_nobody_says_by_themselves_who_they_are(site: Site) -> None:
    with session(site.address, port=site.port, Cookie=EVE, X_Forwarded_Email="ada@observatory.example") as (_, told):
        assert "viewer" in told
        assert "ada@" not in told.replace("\\", "")
        assert "admin" not in told


def test_the_dashboard_itself_answers_to_no_other_name_than_the_public_one(site: Site) -> None:
    def stream(host: str) -> int:
        return ask(site.dashboard, "/_stcore/stream", **WEBSOCKET, Host=host, Origin=f"http://{host}").status

    assert [stream(HOST), stream("evil.example")] == [101, 403]


def test_a_large_cookie_is_taken_and_a_huge_one_is_not(site: Site) -> None:
    pieces = "; ".join(f"_streamlit_user_{n}={'x' * 3_900}" for n in range(1, 6))
    assert site.ask("/", Cookie=f"{EVE}; {pieces}").status == 200
    assert site.ask("/", Cookie=f"{EVE}; x={'x' * 150_000}").status == 400


def test_an_upload_that_is_too_large_is_stopped_at_the_door(site: Site) -> None:
    path = "/_stcore/upload_file/a/b"
    for size, status in ((66 * 2**20, 413), (63 * 2**20, 403)):  # 403 is Streamlit's: the page's own token is missing
        assert (
            ask(site.address, path, method="PUT", port=site.port, Cookie=EVE, Content_Length=f"{size}").status == status
        )


def test_an_upload_of_no_said_size_is_stopped_where_it_becomes_too_large(site: Site) -> None:
    """Ten GB in pieces of a megabyte, from somebody who may upload, is answered a little after 65 MB."""
    piece = b"%x\r\n" % 2**20 + bytes(2**20) + b"\r\n"
    sent_mb, answer = 0, b""
    with (
        session(site.address, port=site.port, Cookie=EVE) as (own, _),
        trusting().wrap_socket(socket.create_connection(("127.0.0.1", site.port)), server_hostname=HOST) as line,
    ):
        token = site.ask("/_stcore/health", Cookie=EVE).headers["set-cookie"].split(";")[0]
        head = [
            f"PUT /_stcore/upload_file/{own}/x HTTP/1.1", f"Host: {HOST}", f"Cookie: {EVE}; {token}",
            "X-Xsrftoken: " + token.split("=", 1)[1].strip('"'), "Content-Type: multipart/form-data; boundary=x",
            "Transfer-Encoding: chunked", "", "",
        ]  # fmt: skip
        form = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.npy"\r\n\r\n'
        line.sendall("\r\n".join(head).encode() + b"%x\r\n" % len(form) + form + b"\r\n")
        while not answer and sent_mb < 10_000:
            line.settimeout(20)
            line.sendall(piece)
            sent_mb += 1
            line.settimeout(0.001)
            with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                answer = line.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert 63 <= sent_mb <= 100
    assert site.ask("/_stcore/health").status == 200


def test_an_address_of_a_megabyte_is_refused(site: Site) -> None:
    with contextlib.suppress(ssl.SSLEOFError, ConnectionError):  # closed while the rest was being sent: refused, too
        assert site.ask(f"/?hit={'9' * 2**20}", Cookie=EVE).status == 414
    assert site.ask("/_stcore/health", Cookie=EVE).status == 200


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/media/abc.npy", "/_stcore/metrics"])
def test_every_answer_carries_the_headers_that_browsers_heed(path: str, site: Site) -> None:
    headers = site.ask(path).headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["server"] == "nginx"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "secure" in headers.get("set-cookie", "secure").lower()


def test_another_name_is_turned_away_before_anything_is_said(site: Site) -> None:
    with pytest.raises(ssl.SSLError):
        ask("https://evil.example", "/", port=site.port)
    assert site.ask("/", Host="evil.example").status == 421 or site.ask("/", Host="evil.example").status >= 400
