"""How many bytes a server sent, counted beside it: a client's own count could leave some out."""

import contextlib
import socket
import socketserver
import threading

_PIECE = 1 << 16


class CountingProxy(socketserver.ThreadingTCPServer):
    """Passes bytes on to the server on `port`; `answered` and `asked` count them, headers too.

    To be run with `tests.core.store.faults.running`.
    """

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = port
        self.asked = 0
        self.answered = 0
        self.connections = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []

    def count(self, *, asked: int = 0, answered: int = 0) -> None:
        with self._lock:
            self.asked += asked
            self.answered += answered

    def connected(self, *ends: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._open += ends

    def server_close(self) -> None:
        for end in self._open:
            _shut(end)
        super().server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: CountingProxy

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream:
            self.server.connected(self.request, upstream)
            questions = threading.Thread(target=self._pass_on, args=(self.request, upstream, True))
            questions.start()
            self._pass_on(upstream, self.request, False)
            questions.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                target.sendall(piece)
                self.server.count(**{"asked" if asks else "answered": len(piece)})
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    """Wake whoever waits on it, here and at the other end."""
    with contextlib.suppress(OSError):  # shut already
        end.shutdown(socket.SHUT_RDWR)
