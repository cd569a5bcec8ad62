"""A harproxy process, with its events and its use of resources."""
import json
import os
import signal
import statistics
import subprocess
import time
from typing import NamedTuple

KIB_PER_MIB = 1024
# The allowed number of additional descriptors after a round, while unread responses are still read, and of descriptors
# and threads at the end, with one shared HTTP/2 connection.
SPARE, SPARE_AT_END = 8, 4
# The allowed growth of anonymous memory between the first and the last third of the rounds after the first.
MEMORY_MIB, MEMORY_SHARE = 8, 0.10


class Held(NamedTuple):
    memory: float
    """Anonymous memory in MiB."""
    descriptors: int
    threads: int

    def __str__(self):
        return f"{self.memory:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"


class Harproxy:
    """`record` or `replay` without CMD. Its events are written to a file. The last one is the verdict."""

    def __init__(self, binary, work, *arguments):
        self.told = os.path.join(work, f"{arguments[0]}.events")
        with open(self.told, "wb") as told:
            self.process = subprocess.Popen(
                [binary, *arguments, "--listen", "127.0.0.1:0", "--log-format", "json"], cwd=work, text=True,
                env={**os.environ, "XDG_DATA_HOME": os.path.join(work, "data"), "TMPDIR": work, "CI": ""},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told,
            )
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{arguments[0]} did not start:\n{self.said()}")
        ready = json.loads(line)
        host, port = ready["proxy"].removeprefix("http://").rstrip("/").rsplit(":", 1)
        self.proxy, self.ca = (host, int(port)), ready["ca"]
        self.idle = self.held()

    def said(self):
        with open(self.told, encoding="utf-8") as told:
            return told.read()

    def held(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            fields = dict(line.split(":", 1) for line in status)
        descriptors = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return Held(int(fields["RssAnon"].split()[0]) / KIB_PER_MIB, descriptors, int(fields["Threads"]))

    def most(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) // KIB_PER_MIB for line in status if line.startswith("VmHWM:"))

    def quiet(self, seconds, spare=SPARE, threads=False):
        """The resources in use when no request is in progress, or after a time limit."""
        until = time.monotonic() + seconds
        while True:
            now = self.held()
            calm = now.descriptors <= self.idle.descriptors + spare and (not threads or now.threads <= self.idle.threads + spare)
            if calm or time.monotonic() > until:
                return now
            time.sleep(0.05)

    def stop(self):
        """Ends the process. Returns its status and its verdict."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=300)
        events = [json.loads(line) for line in self.said().splitlines()]
        return status, next((event["report"] for event in events if event["event"] == "verdict"), None), events


def growth(rounds):
    """The growth of anonymous memory over the rounds after the first, and its limit, in MiB. Medians level out
    single rounds."""
    after = [held.memory for held in rounds[1:]]
    third = max(1, len(after) // 3)
    first, last = statistics.median(after[:third]), statistics.median(after[-third:])
    return last - first, MEMORY_MIB + MEMORY_SHARE * first
