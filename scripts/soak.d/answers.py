"""The responses of the origin of scripts/soak: a function of method, target, payload and turn, so that clients can
compute each response."""
import gzip
import hashlib
import json
from typing import NamedTuple

MIB = 1 << 20
ETAG = '"v1"'
EVENTS = 200


class Answer(NamedTuple):
    status: int
    headers: tuple = ()
    payload: bytes = b""
    """The body after its content coding is removed."""
    chunked: bool = False
    paced: bool = False
    """The chunks of the body, which are sent with pauses, like events."""

    def wire(self):
        return gzip.compress(self.payload, mtime=0) if ("Content-Encoding", "gzip") in self.headers else self.payload


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def filler(seed, size):
    """Bytes of which every MiB is different, also for other seeds."""
    block = hashlib.sha256(seed.encode()).digest() * (min(size, MIB) // 32 + 1)
    parts = (n.to_bytes(8, "big") + block[8 : min(MIB, size - n * MIB)] for n in range((size + MIB - 1) // MIB))
    return b"".join(parts)[:size]


def events(seed, number):
    return b"".join(f"id: {n}\ndata: {seed} {n}\n\n".encode() for n in range(number))


def json_answer(status, value, *headers, **how):
    return Answer(status, (("Content-Type", "application/json"), *headers), compact(value), **how)


def answer(method, target, payload=b"", turn=0):
    """The response to `/api/KIND/SIZE/NAME`. Responses to HEAD and with 204 or 304 have no payload."""
    kind, size, name = target.split("/")[2:5]
    if kind == "json":
        found = json_answer(200, {"path": target, "user": {"id": len(name), "name": "Ada"}, "list": list(range(20))})
    elif kind == "turn":
        found = json_answer(200, {"path": target, "turn": turn})
    elif kind == "took":
        found = json_answer(201, {"path": target, "took": len(payload), "digest": sha256(payload)[:16]})
    elif kind == "gzip":
        found = json_answer(200, {"packed": [f"{name} {n}" for n in range(200)]}, ("Content-Encoding", "gzip"), chunked=len(name) % 2 == 0)
    elif kind == "chunks":
        found = Answer(200, (("Content-Type", "text/plain"),), "".join(f"{name} {n}\n" for n in range(1000)).encode(), chunked=True)
    elif kind == "bytes":
        found = Answer(200, (("Content-Type", "application/octet-stream"),), filler(name, int(size)))
    elif kind in ("events", "endless"):
        number = 5 if kind == "events" else EVENTS
        found = Answer(200, (("Content-Type", "text/event-stream"),), events(name, number), chunked=True, paced=True)
    elif kind == "empty":
        found = Answer(204)
    elif kind == "same":
        found = Answer(304, (("ETag", ETAG),))
    elif kind == "moved":
        found = Answer(302, (("Location", target.replace("/moved/", "/json/")),))
    else:
        found = json_answer(404, {"error": "no such path", "path": target})
    return found
