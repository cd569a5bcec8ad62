"""The mixed load of scripts/soak: the requests of one client in one round. Rounds differ only in the names that they
request."""
import collections
import functools
import gzip
import http.client
import random
import socket
import ssl
import subprocess
import time
from typing import NamedTuple

from answers import ETAG, EVENTS, MIB, answer, compact, events, filler, sha256

API, OTHER, PINNED, HTTP2 = "api.test", "other.test", "app.test", "h2.api.test"
# The number of requests of each kind that a client sends in a round.
SHARES = {
    "small": 36, "fresh": 8, "missing": 3, "chunks": 4, "gzip": 4, "post": 4, "multipart": 2, "stream": 2, "events": 1, "head": 2,
    "empty": 2, "same": 2, "moved": 2, "turns": 3, "outside": 2, "tunnel": 1, "leave": 1, "break_off": 1, "break_upload": 1, "slow": 1, "big": 1,
    "http2": 1,
}
AT_REPLAY = {"local": 2, "miss": 3}
CLIENTS = 4
TIMEOUT = 60


class Place(NamedTuple):
    """The target of a load: the phase, the proxy and its CA, the origin, and the program for HTTP/2 if both sides
    support it."""
    phase: str
    proxy: tuple
    ca: str
    origin_ca: str
    origin: int
    curl: str | None


class Complete(NamedTuple):
    """A response that a client received completely."""
    method: str
    url: str
    sent: str
    status: int
    got: str


class Client:
    """One client in one round. `run` returns its complete exchanges, its errors, and the expected number of each
    outcome."""

    def __init__(self, place, round_, number, first):
        self.place, self.number, self.first = place, number, first
        self.name = f"{round_}-{number}"
        self.round, self.asked = round_, 0
        self.kept, self.complete, self.wrong, self.counts = {}, [], [], collections.Counter()
        self.random = random.Random(self.name)

    def run(self):
        # The order is the same in both phases, because names are numbered.
        todo = [what for what, times in SHARES.items() for _ in range(times)]
        self.random.shuffle(todo)
        if self.place.phase == "replay":
            todo += [what for what, times in AT_REPLAY.items() for _ in range(times)]
        for what in todo:
            try:
                getattr(self, what)()
            except (OSError, http.client.HTTPException, ValueError, EOFError, subprocess.SubprocessError) as error:
                self.fail(f"{what} as {self.name}: {type(error).__name__}: {error}")
                self.forget()
        self.forget()
        return self.complete, self.wrong, self.counts

    def fail(self, what):
        self.wrong.append(what)

    def forget(self):
        for connection in self.kept.values():
            connection.close()
        self.kept.clear()

    def target(self, kind, size=0):
        self.asked += 1
        return f"/api/{kind}/{size}/{self.name}-{self.asked}"

    # Connections

    def open(self, scheme, host=API):
        if scheme == "http":
            return http.client.HTTPConnection(*self.place.proxy, timeout=TIMEOUT)
        connection = http.client.HTTPSConnection(*self.place.proxy, timeout=TIMEOUT, context=context(self.place.ca))
        connection.set_tunnel(host, 443)
        return connection

    def begin(self, method, scheme, target, payload=None, headers=(), fresh=False, host=API):
        """The head of a response, with its connection."""
        connection = self.open(scheme, host) if fresh else self.kept.get(scheme)
        if connection is None:
            connection = self.kept[scheme] = self.open(scheme)
        whole = f"{scheme}://{host}{target}" if scheme == "http" else target
        connection.request(method, whole, payload, {"Host": host, "Accept-Encoding": "gzip", **dict(headers)})
        return connection, connection.getresponse()

    def ask(self, method, target, payload=None, headers=(), fresh=False, turn=0, sent=None, scheme=None):
        """Sends a request, reads the whole response, and compares it with the one that the origin sends."""
        scheme = scheme or self.random.choice(("http", "https"))
        connection, response = self.begin(method, scheme, target, payload, headers, fresh)
        got = response.read()
        if fresh:
            connection.close()
        if response.getheader("Content-Encoding") == "gzip":
            got = gzip.decompress(got)
        sent = payload if sent is None else sent
        self.judge(method, f"{scheme}://{API}{target}", sent or b"", response.status, got, answer(method, target, sent or b"", turn), response)
        return response

    def judge(self, method, url, sent, status, got, wanted, response=None):
        payload = b"" if method == "HEAD" else wanted.payload
        source = response.getheader("x-harproxy") if response else None
        if (status, got) != (wanted.status, payload):
            self.fail(f"{method} {url}: {status} with {len(got)} bytes instead of {wanted.status} with {len(payload)} ({source}): {got[:200]!r}")
        self.counts["answered"] += 1
        self.complete.append(Complete(method, url, sha256(sent) if sent else "", status, sha256(got)))

    # Kinds of requests

    def small(self):
        self.ask("GET", self.target("json"))

    def fresh(self):
        self.ask("GET", self.target("json"), fresh=True)

    def missing(self):
        self.ask("GET", self.target("nothing"))

    def chunks(self):
        self.ask("GET", self.target("chunks"))

    def gzip(self):
        self.ask("GET", self.target("gzip"))

    def post(self):
        target = self.target("took")
        self.ask("POST", target, compact({"from": target, "items": list(range(30))}), {"Content-Type": "application/json"})

    def multipart(self):
        target, boundary = self.target("took"), f"soak-{self.name}"
        parts = (f'--{boundary}\r\nContent-Disposition: form-data; name="{part}"\r\n\r\n{target} {part}\r\n' for part in ("one", "two"))
        payload = "".join((*parts, f"--{boundary}--\r\n")).encode()
        self.ask("POST", target, payload, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def stream(self):
        """A chunked upload without a declared length."""
        payload = filler(self.name, 50_000)
        pieces = (payload[at : at + 7_000] for at in range(0, len(payload), 7_000))
        self.ask("PUT", self.target("took"), pieces, {"Content-Type": "application/octet-stream"}, sent=payload)

    def events(self):
        self.ask("GET", self.target("events"), fresh=True)

    def head(self):
        self.ask("HEAD", self.target("json"))

    def empty(self):
        self.ask("GET", self.target("empty"))

    def same(self):
        self.ask("GET", self.target("same"), headers={"If-None-Match": ETAG})

    def moved(self):
        response = self.ask("GET", self.target("moved"), scheme="http")
        self.ask("GET", response.getheader("Location", "/api/nowhere/0/0"), scheme="http")

    def turns(self):
        """Three responses to one request, in order. Replay repeats the last one."""
        target, scheme = self.target("turn"), self.random.choice(("http", "https"))
        for turn in range(3):
            self.ask("GET", target, turn=turn if self.first else 2, scheme=scheme)

    def big(self):
        """1 to 8 MiB, as a download of one client and as an upload of the next."""
        size = (1 + (self.round + self.number) % 8) * MIB
        if self.number == 0:
            self.ask("GET", self.target("bytes", size))
        elif self.number == 1:
            self.ask("PUT", self.target("took", size), filler(self.name, size), {"Content-Type": "application/octet-stream"})

    def slow(self):
        """Reads with pauses and a small receive window."""
        target = self.target("bytes", MIB)
        connection = self.open("http")
        connection.sock = socket.socket()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        connection.sock.settimeout(TIMEOUT)
        connection.sock.connect(self.place.proxy)
        connection.request("GET", f"http://{API}{target}")
        response, got = connection.getresponse(), b""
        while part := response.read(MIB // 8):
            got += part
            time.sleep(0.02)
        connection.close()
        self.judge("GET", f"http://{API}{target}", b"", response.status, got, answer("GET", target), response)

    def http2(self):
        """Two requests over one HTTP/2 connection, to an HTTP/2 origin."""
        if not self.place.curl:
            return
        targets = [self.target("json"), self.target("chunks")]
        urls = [f"https://{HTTP2}{target}" for target in targets]
        done = subprocess.run(
            [self.place.curl, "-sS", "--http2", "--noproxy", "", "--proxy", "http://{}:{}".format(*self.place.proxy),
             "--cacert", self.place.ca, "--max-time", str(TIMEOUT), "-w", "%{stderr}%{http_version}\n", *urls],
            capture_output=True, check=False,
        )
        wanted = [answer("GET", target).payload for target in targets]
        if done.returncode or done.stdout != b"".join(wanted):
            self.fail(f"curl for {urls}: status {done.returncode}, {done.stderr.decode()!r}, {done.stdout[:200]!r}")
        self.counts["http2"] += done.stderr.split().count(b"2")
        self.counts["answered"] += 2
        self.complete += [Complete("GET", url, "", 200, sha256(payload)) for url, payload in zip(urls, wanted)]

    # Clients that leave early

    def part(self, response, connection, wanted, size):
        got = response.read(size)
        if got != wanted[:size]:
            self.fail(f"the first {size} bytes of an answer that is left: {response.status}, {got[:100]!r}")
        response.close()
        connection.close()
        self.counts["left"] += 1

    def leave(self):
        """An event stream that is closed before its end."""
        target = self.target("endless")
        connection, response = self.begin("GET", self.random.choice(("http", "https")), target, fresh=True)
        name = target.split("/")[-1]
        self.part(response, connection, events(name, EVENTS), len(events(name, 3)))

    def break_off(self):
        target = self.target("bytes", 4 * MIB)
        connection, response = self.begin("GET", self.random.choice(("http", "https")), target, fresh=True)
        self.part(response, connection, answer("GET", target).payload, 65_536)

    def break_upload(self):
        """Half of an upload, without reading a response."""
        self.target("took")
        with socket.create_connection(self.place.proxy, timeout=TIMEOUT) as plain:
            plain.sendall(f"PUT http://{API}/api/took/0/half-{self.name} HTTP/1.1\r\nHost: {API}\r\nContent-Length: 1000\r\n\r\nhalf".encode())
        self.counts["half"] += 1

    # Requests that are not in the fixture

    def outside(self):
        target = self.target("json")
        connection, response = self.begin("GET", "http", target, fresh=True, host=OTHER)
        got = response.read()
        connection.close()
        wanted = (200, answer("GET", target).payload) if self.place.phase == "record" else (501, got)
        if (response.status, got) != wanted:
            self.fail(f"out of scope: {response.status}, {got[:200]!r}")
        self.counts["outside"] += 1

    def tunnel(self):
        """TLS with the origin through a tunnel. Replay refuses it inside TLS."""
        target, records = self.target("json"), self.place.phase == "record"
        trusted = self.place.origin_ca if records else self.place.ca
        connection = http.client.HTTPSConnection(*self.place.proxy, timeout=TIMEOUT, context=context(trusted))
        connection.set_tunnel(PINNED, 443)
        connection.request("GET", target)
        response = connection.getresponse()
        got = response.read()
        connection.close()
        if (response.status, got) != ((200, answer("GET", target).payload) if records else (501, got)):
            self.fail(f"tunnel: {response.status}, {got[:200]!r}")
        self.counts["tunnels" if records else "outside"] += 1

    def local(self):
        target, host = self.target("json"), f"127.0.0.1:{self.place.origin}"
        connection, response = self.begin("GET", "http", target, fresh=True, host=host)
        got = response.read()
        connection.close()
        if (response.status, got) != (200, answer("GET", target).payload):
            self.fail(f"local: {response.status}, {got[:200]!r}")
        self.counts["local"] += 1

    def miss(self):
        connection, response = self.begin("GET", "https", f"/api/json/0/never-{self.random.randrange(20)}")
        got = response.read()
        if response.status != 501 or response.getheader("Content-Type") != "application/problem+json":
            self.fail(f"a miss: {response.status}, {got[:200]!r}")
        self.counts["misses"] += 1


@functools.cache
def context(trusted):
    return ssl.create_default_context(cafile=trusted)


def client(place, round_, number, first):
    return Client(place, round_, number, first).run()
