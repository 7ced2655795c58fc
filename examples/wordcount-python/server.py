"""Counts the words of a posted text. Standard library only.

`POST /` with a text answers JSON: how many words, how many different ones, and
the most frequent ones (`?top=N`, 10 by default). `GET /` says how to use it.

Serves HTTP/1.1 on the Unix socket `$GAPLESS_SOCKET` if that is set, else on
`127.0.0.1:$PORT`. Ends on SIGTERM, after the requests it has begun.
"""

import json
import os
import re
import signal
import socket
import socketserver
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

BODY_BYTES_MAX = 4 << 20
TOP_DEFAULT = 10
TOP_MAX = 1000
IDLE_SECONDS_MAX = 75
DRAIN_SECONDS_MAX = 5
USAGE = "POST a text; ?top=N says how many of its most frequent words to list\n"
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


class Refused(Exception):
    """A request that gets no count: its status and what is wrong with it."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def count(text, top):
    """The answer to a text: most frequent words first, equals in the alphabet's order."""
    words = Counter(word.lower() for word in WORD.findall(text))
    order = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    return {
        "words": sum(words.values()),
        "distinct": len(words),
        "top": [{"word": word, "count": number} for word, number in order[:top]],
    }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS_MAX
    # An answer is one write, head and body together.
    wbufsize = -1

    def setup(self):
        # A Unix socket has no such option.
        self.disable_nagle_algorithm = self.request.family == socket.AF_INET
        super().setup()

    def handle_expect_100(self):
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def do_GET(self):
        self.answer(200, "text/plain", USAGE.encode())

    do_HEAD = do_GET

    def do_POST(self):
        with self.server.busy:
            self.answer_text()

    def answer_text(self):
        """Answers a posted text with its count."""
        try:
            text = self.body().decode("utf-8")
            top = self.top()
        except Refused as refused:
            # What is left of the body is not read, so the connection is of no more use.
            self.close_connection = True
            self.answer(refused.status, "text/plain", f"{refused}\n".encode())
        except UnicodeDecodeError:
            self.answer(400, "text/plain", b"the text is not UTF-8\n")
        else:
            answer = json.dumps(count(text, top), ensure_ascii=False) + "\n"
            self.answer(200, "application/json", answer.encode())

    def top(self):
        """How many words to list."""
        asked = parse_qs(urlsplit(self.path).query).get("top", [str(TOP_DEFAULT)])[0]
        if not asked.isdecimal() or int(asked) > TOP_MAX:
            raise Refused(400, f"top must be 0 to {TOP_MAX}")
        return int(asked)

    def body(self):
        """The request's body, whichever way its length is said."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self.chunks())
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            raise Refused(400, "Content-Length is not a number")
        if int(length) > BODY_BYTES_MAX:
            raise Refused(413, f"the text is longer than {BODY_BYTES_MAX >> 20} MiB")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refused(400, "the request's body broke off")
        return body

    def chunks(self):
        total = 0
        while True:
            head = self.rfile.readline(1024).split(b";")[0].strip()
            try:
                size = int(head, 16)
            except ValueError:
                raise Refused(400, "a chunk has no size") from None
            total += size
            if size < 0 or total > BODY_BYTES_MAX:
                raise Refused(413, f"the text is longer than {BODY_BYTES_MAX >> 20} MiB")
            if size == 0:
                break
            yield self.rfile.read(size)
            self.rfile.readline(1024)
        # The trailers, up to the empty line.
        while self.rfile.readline(1024).strip():
            pass

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def address_string(self):
        return "local"

    def log_request(self, code="-", size="-"):
        """A line per request would be most of the work."""


class Busy:
    """Counts the requests that are being served."""

    def __init__(self):
        self.requests = 0
        self.changed = threading.Condition()

    def __enter__(self):
        with self.changed:
            self.requests += 1

    def __exit__(self, *_):
        with self.changed:
            self.requests -= 1
            self.changed.notify_all()

    def wait_until_idle(self, seconds):
        with self.changed:
            self.changed.wait_for(lambda: self.requests == 0, timeout=seconds)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread per connection."""

    request_queue_size = 128
    allow_reuse_address = True
    # A connection that nobody uses does not hold up the end.
    daemon_threads = True

    def __init__(self, family, address):
        self.address_family = family
        self.busy = Busy()
        super().__init__(address, Handler)


def server_from_env():
    path = os.environ.get("GAPLESS_SOCKET")
    if path:
        return Server(socket.AF_UNIX, path)
    port = os.environ.get("PORT", "")
    if not port.isdecimal():
        sys.exit("set GAPLESS_SOCKET to a path, or PORT to a port number")
    return Server(socket.AF_INET, ("127.0.0.1", int(port)))


def main():
    server = server_from_env()
    # Raised in this thread, where it ends the loop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.serve_forever(poll_interval=None)
    finally:
        server.socket.close()
        server.busy.wait_until_idle(DRAIN_SECONDS_MAX)


if __name__ == "__main__":
    main()
