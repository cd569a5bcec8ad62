"""A harproxy process that scripts/soak watches: its events, and what it holds of the machine."""
import json
import os
import signal
import statistics
import subprocess
import time
from typing import NamedTuple

KIB_PER_MIB = 1024
# So many descriptors more than before the first request there may be after a round, when answers that clients left are still read on;
# and so many descriptors and threads in the end, when there is nothing but a shared connection of HTTP/2.
SPARE, SPARE_AT_END = 8, 4
# How much anonymous memory may grow between the first and the last third of the rounds after the first.
MEMORY_MIB, MEMORY_SHARE = 8, 0.10


class Held(NamedTuple):
    memory: float
    """Anonymous memory in MiB."""
    descriptors: int
    threads: int

    def __str__(self):
        return f"{self.memory:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"


class Harproxy:
    """`record` or `replay` without CMD. Its events go to a file, of which the last is the verdict."""

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
        """What is held once nothing is under way, or after so many seconds."""
        until = time.monotonic() + seconds
        while True:
            now = self.held()
            calm = now.descriptors <= self.idle.descriptors + spare and (not threads or now.threads <= self.idle.threads + spare)
            if calm or time.monotonic() > until:
                return now
            time.sleep(0.05)

    def stop(self):
        """Asks it to end, and returns its status and its verdict."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=300)
        events = [json.loads(line) for line in self.said().splitlines()]
        return status, next((event["report"] for event in events if event["event"] == "verdict"), None), events


def growth(rounds):
    """By how many MiB anonymous memory grew over the rounds after the first, and by how many it may: medians, because one round says little."""
    after = [held.memory for held in rounds[1:]]
    third = max(1, len(after) // 3)
    first, last = statistics.median(after[:third]), statistics.median(after[-third:])
    return last - first, MEMORY_MIB + MEMORY_SHARE * first
