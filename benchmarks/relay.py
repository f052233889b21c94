"""A relay between a browser and a server, which notes when messages of a websocket pass.

A browser notes a message when it has time to: what it draws before that counts. Here nothing is drawn.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 16
CONTROL = range(0x88, 0x90)  #: first byte of a websocket's frames of its own: close, ping, pong (RFC 6455, section 5.2)


class Relay:
    """Listens on a free port of this machine and passes all bytes on, both ways."""

    def __init__(self, address: str) -> None:
        self._server = (urlsplit(address).hostname, urlsplit(address).port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked: list[float] = []  #: when a message of the browser passed [s]
        self.answered: list[float] = []  #: when bytes of an answer passed [s]

    def listen(self) -> None:
        """Take connections until the socket is closed."""
        with suppress(OSError):
            while True:
                browser, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                talks = threading.Event()
                for source, sink, noted in ((browser, server, self.asked), (server, browser, self.answered)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._pass, args=(source, sink, noted, talks), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, noted: list[float], talks: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if talks.is_set() and data[0] not in CONTROL:
                    noted.append(time.perf_counter())
                if noted is self.asked and b"upgrade: websocket" in data.lower():
                    talks.set()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def relayed(address: str) -> Iterator[Relay]:
    """Run a relay to a server until the end."""
    relay = Relay(address)
    threading.Thread(target=relay.listen, daemon=True).start()
    try:
        yield relay
    finally:
        relay.close()
