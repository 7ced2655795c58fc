"""{{name}}: an HTTP server, Python's standard library only.

Serves on the Unix socket `$GAPLESS_SOCKET` if that is set, else on
`127.0.0.1:$PORT`. To try it alone: `PORT=3000 python3 server.py`
"""

import os
import signal
import socket
import socketserver
import sys
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    """One connection, which stays open for the next request."""

    protocol_version = "HTTP/1.1"
    # An answer is one write, head and body together.
    wbufsize = -1

    def handle_expect_100(self):
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def do_GET(self):
        self.answer(200, "Hello from {{name}}\n".encode())

    def do_POST(self):
        if "Transfer-Encoding" in self.headers:
            # A body without a length: it is not read, so this connection ends with it.
            self.close_connection = True
            self.answer(411, b"send a Content-Length\n")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, body)

    def answer(self, status, body, content_type="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def address_string(self):
        return "local"

    def log_request(self, code="-", size="-"):
        """The platform counts and times every request already."""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread per connection."""

    request_queue_size = 128
    allow_reuse_address = True
    daemon_threads = True


def server_from_env():
    path = os.environ.get("GAPLESS_SOCKET")
    if path:
        Server.address_family = socket.AF_UNIX
        return Server(path, Handler)
    if "PORT" not in os.environ:
        sys.exit("set GAPLESS_SOCKET to a path, or PORT to a port number")
    return Server(("127.0.0.1", int(os.environ["PORT"])), Handler)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server_from_env().serve_forever(poll_interval=None)
