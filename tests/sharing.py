"""What the tests of sharing run beside the dashboard: a provider that people sign in at, and the proxy in front."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from browser import ROOT, free_port, running
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "rrs.example.org"  #: as deploy/nginx.conf has it
ROLES = """
[people]
"ada@observatory.example" = "admin"
"lab@observatory.example" = "labeller"
"eve@observatory.example" = "viewer"
"new@observatory.example" = "viewer"
"""
#: Whom the provider knows, and whether it says that their address is verified.
KNOWN = {"ada": True, "lab": True, "eve": True, "new": False, "mallory": True}


@contextlib.contextmanager
def provider(log: Path) -> Iterator[str]:
    """Run an OpenID Connect provider that knows `KNOWN`; give its address.

    It is reached as localhost and the dashboard as 127.0.0.1, which a browser takes for two sites,
    as a real provider is another site: cookies that are too strict would be lost on the way back.
    """
    port = free_port()
    people = [
        {"sub": name, "email": f"{name}@observatory.example", "email_verified": verified}
        for name, verified in KNOWN.items()
    ]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", f"{port}"]
    command += [part for one in people for part in ("--user-claims", json.dumps(one))]
    address = f"http://localhost:{port}"
    with running(command, f"http://127.0.0.1:{port}/jwks", log, {}):
        yield address


@contextlib.contextmanager
def shared(survey: Path, folder: Path, *options: str, provider: str = "", port: int = 0) -> Iterator[str]:
    """Run `rrs serve SURVEY` with options; with people who sign in at `provider`, if one is given; give its address."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    secrets = folder / "secrets.toml"
    secrets.write_text(SECRETS.format(address=address, provider=provider) if provider else "")
    command = [sys.executable, "-m", "rrs_core", "serve", f"{survey}", "--port", f"{port}", *options]
    environment = {"STREAMLIT_SECRETS_FILES": f"{secrets}", "RRS_ROLES": "", "RRS_READ_ONLY": ""}
    with running(command, f"{address}/_stcore/health", folder / "server.log", environment):
        yield address


SECRETS = """
[auth]
redirect_uri = "{address}/oauth2callback"
cookie_secret = "of-the-tests-alone-and-32-bytes-long"
client_id = "rrs"
client_secret = "of-the-tests-alone"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@contextlib.contextmanager
def proxy(folder: Path, dashboard: str, sign_in: str) -> Iterator[int]:
    """Run nginx with deploy/nginx.conf in front of a dashboard; give the port on which it speaks TLS as `HOST`.

    Nothing of the file is left out: only addresses, ports and folders are those of the test. Skips where there is none.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("no nginx found: apt-get install nginx-light, and the tests of deploy/nginx.conf run")
    port, plain = free_port(), free_port()
    certificate(folder)
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for given, here in {
        "/tmp/": f"{folder}/",
        "/etc/nginx/tls/": f"{folder}/",
        "/dev/stdout": f"{folder}/access.log",
        "server dashboard:8501;": f"server {dashboard.removeprefix('http://')};",
        "server oauth2-proxy:4180;": f"server {sign_in.removeprefix('http://')};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen 80;": f"listen 127.0.0.1:{plain};",
    }.items():
        assert given in text, given
        text = text.replace(given, here)
    if os.geteuid() == 0:
        text = "user root;\n" + text  # its workers read and write the test's own folder
    (folder / "nginx.conf").write_text(text)
    command = [program, "-p", f"{folder}", "-c", f"{folder / 'nginx.conf'}", "-g", "daemon off;"]
    with running(command, f"http://127.0.0.1:{plain}/oauth2", folder / "nginx.log", {}, healthy=(308,)):
        yield port


def certificate(folder: Path) -> None:
    """Write a certificate of `HOST`'s, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "privkey.pem").write_bytes(secret)


class SignIn(BaseHTTPRequestHandler):
    """What nginx asks oauth2-proxy, answered as oauth2-proxy's manual says; whoever comes to sign in is `person`."""

    person = ""  #: who signs in next

    def do_GET(self) -> None:
        """Answer /oauth2/auth (202 with who it is, or 401) and /oauth2/start (a cookie, and back to the page)."""
        if self.path == "/oauth2/auth":
            cookies = SimpleCookie(self.headers.get("Cookie", ""))
            who = cookies["_oauth2_proxy"].value if "_oauth2_proxy" in cookies else ""
            self.answer(202 if who else 401, {"X-Auth-Request-Email": who} if who else {})
        elif self.path == "/oauth2/start":
            back = self.headers.get("X-Auth-Request-Redirect", "/")
            cookie = f"_oauth2_proxy={self.person}; Path=/; Secure; HttpOnly; SameSite=Lax"
            self.answer(302, {"Location": back, "Set-Cookie": cookie})
        else:
            self.answer(404, {})

    def answer(self, status: int, headers: dict[str, str]) -> None:
        """Send an answer without a body."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *given: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def sign_in_at_proxy() -> Iterator[tuple[str, type[SignIn]]]:
    """Run `SignIn` on this machine; give its address, and the class whose `person` signs in next."""

    class Handler(SignIn):
        pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # a page asks for a hundred things at once, and nginx about each of them

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", Handler
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Answer:
    """What a server answers: the status, the headers by lower-case name, and how the body begins."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(address: str, path: str, *, method: str = "GET", port: int = 0, body: bytes = b"", **headers: str) -> Answer:
    """Send one request exactly as it is written, to a server of this machine, and return what it answers.

    An address https://HOST is asked at `port` of this machine; whoever's certificate it shows is taken.
    """
    url = urlsplit(address)
    secure = url.scheme == "https"
    given = {"Host": url.netloc, "Connection": "close", **{name.replace("_", "-"): v for name, v in headers.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    line = _line(port or url.port or 80)
    with trusting().wrap_socket(line, server_hostname=url.hostname) if secure else line as open_:
        open_.sendall("\r\n".join(lines).encode("latin-1") + body)
        with contextlib.closing(HTTPResponse(open_, method=method)) as answer:
            answer.begin()
            told = b"" if answer.status == 101 else answer.read(2_000)
            found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, told)


def trusting() -> ssl.SSLContext:
    """Return a context that takes any certificate: ours is signed by nobody else."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


WEBSOCKET = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Protocol": "streamlit",
}  # fmt: skip


@contextlib.contextmanager
def session(address: str, *, port: int = 0, **headers: str) -> Iterator[tuple[str, str]]:
    """Open a session as a browser's code would; give its id and all that the server sent for its first run, as text."""
    url = urlsplit(address)
    secure = url.scheme == "https"
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with connect(
        f"{'wss' if secure else 'ws'}://{url.netloc}/_stcore/stream", sock=_line(port or url.port or 80),
        ssl=trusting() if secure else None, server_hostname=url.hostname if secure else None, origin=Origin(address),
        subprotocols=[Subprotocol("streamlit")], additional_headers=given, max_size=None,
    ) as socket_:  # fmt: skip
        wish = BackMsg()
        wish.rerun_script.query_string = ""
        socket_.send(wish.SerializeToString())
        told, found = "", ""
        while "script_finished" not in told:
            message = ForwardMsg.FromString(bytes(socket_.recv(timeout=60)))
            found = found or message.new_session.initialize.session_id
            told += f"{message}"
        yield found, told


def upload(address: str, *, token: bool = True, data: bytes = b"abc") -> int:
    """Send a file to a session of one's own, as the uploader of a page would; return the status of the answer."""
    with session(address) as (own, _):
        cookie = ask(address, "/_stcore/health").headers["set-cookie"].split(";")[0]
        sealed = {"Cookie": cookie, "X_Xsrftoken": cookie.split("=", 1)[1].strip('"')} if token else {}
        body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.npy"\r\n\r\n' + data + b"\r\n--x--\r\n"
        form = {"Content_Type": "multipart/form-data; boundary=x", "Content_Length": f"{len(body)}"}
        return ask(address, f"/_stcore/upload_file/{own}/x", method="PUT", body=body, **form, **sealed).status


def _line(port: int) -> socket.socket:
    """Return a connection to this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)
