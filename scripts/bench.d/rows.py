"""The rows of the table: for each a function that measures, and the aims of its figures."""
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from typing import Callable, NamedTuple

import browser
import others
from tools import KIB, MIB, GIB, memory, seconds


class Figure(NamedTuple):
    """A figure of a row and its aim, which is about harproxy's value, or its ratio or difference to the baseline."""
    text: str
    unit: str
    of: str
    aim: float
    at_least: bool = False

    def judged(self, pair):
        ours, baseline = pair
        return {"ratio": lambda: ours / baseline, "difference": lambda: ours - baseline, "value": lambda: ours}[self.of]()

    def is_met(self, value, slack=1):
        """`slack` 2 allows values that are half as good as the aim."""
        return value >= self.aim / slack if self.at_least else value <= self.aim * slack


class Row(NamedTuple):
    """`measure` returns a list of pairs (harproxy, baseline) for each figure, in order."""
    name: str
    measure: Callable
    figures: list
    is_quick: bool = False


def load_shape(mode, payload=KIB):
    if payload > 256 * KIB:
        return ("--mode", mode, "--connections", 8)
    return ("--mode", mode, *(("--connections", 8, "--streams", 8) if mode == "h2" else ("--connections", 64)))


def replay(mode, payload=KIB, figure="requests", entries=1000):
    """Replay against a bare server with the same responses."""
    def measure(bench):
        load = (*load_shape(mode, payload), "--urls", entries, "--seconds", bench.seconds)
        with bench.origin(mode, entries, payload) as (_, origin), bench.replay(bench.fixture(entries, payload, mode)) as (_, proxy):
            bench.fetch_once(proxy, entries, *load_shape(mode, payload)[:2])
            return [bench.measure(lambda: bench.load(proxy, "--through", *load)[figure], lambda: bench.load(origin, *load)[figure])]
    return measure


def with_rules(rules, payload=KIB):
    """Replay with these rules of harproxy.toml, against replay without rules."""
    def measure(bench):
        entries, load = 100, ("--through", *load_shape("http", payload), "--urls", 100, "--seconds", bench.seconds)
        fixture = bench.fixture(entries, payload)
        with bench.replay(fixture, rules) as (_, ours), bench.replay(fixture) as (_, plain):
            bench.fetch_once(ours, entries)
            bench.fetch_once(plain, entries)
            return [bench.measure(lambda: bench.load(ours, *load)["requests"], lambda: bench.load(plain, *load)["requests"])]
    return measure


TEN_RULES = "".join(f"[[route]]\nmatch = 'GET http://api.test/v2/part{n}/**'\ndelay = '1s'\n" for n in range(10))
PATCH = "[[route]]\nmatch = 'http://api.test/**'\npatch = [{ op = 'replace', path = '$[0].name', value = 'Bob' }]\n"
TEMPLATE = "[[route]]\nmatch = 'http://api.test/**'\ntemplate = true\n"


def serve_plain(bench):
    """The mock server with its admin API, against replay with reports."""
    entries, load = 1000, ("--through", *load_shape("http"), "--urls", 1000, "--seconds", bench.seconds)
    fixture = bench.fixture(entries)
    with bench.serve(fixture) as (_, ours), bench.replay(fixture) as (_, plain):
        bench.fetch_once(ours, entries)
        bench.fetch_once(plain, entries)
        return [bench.measure(lambda: bench.load(ours, *load)["requests"], lambda: bench.load(plain, *load)["requests"])]


def serve_delay(bench):
    """500 clients at a time, each of which waits one second for its answer: the time until all have it."""
    clients = 500
    load = ("--through", "--connections", clients, "--count", clients, "--urls", 100, "--seconds", 60)
    with bench.serve(bench.fixture(100), "[[route]]\nmatch = 'http://api.test/**'\ndelay = '1s'\n") as (_, proxy):
        return [bench.measure(lambda: clients / bench.load(proxy, *load)["requests"])]


def serve_live(bench):
    """A route with a live source, against a bare proxy."""
    load = ("--through", "--mode", "tls", "--connections", 64, "--urls", 1000, "--seconds", bench.seconds)
    rules = "[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\n"
    with bench.origin("tls") as (_, origin), bench.bare_proxy(origin) as (_, bare), bench.serve(bench.fixture(10), rules, origin) as (_, proxy):
        return [bench.measure(lambda: bench.load(proxy, *load)["requests"], lambda: bench.load(bare, *load)["requests"])]


def replay_entries(bench):
    many, few = (1000 if bench.quick else 100_000), 10
    load = ("--through", *load_shape("http"), "--seconds", bench.seconds)
    with bench.replay(bench.fixture(many)) as (_, large), bench.replay(bench.fixture(few)) as (_, small):
        bench.fetch_once(large, many)
        bench.fetch_once(small, few)
        return [bench.measure(lambda: bench.load(large, *load, "--urls", many)["requests"],
                              lambda: bench.load(small, *load, "--urls", few)["requests"])]


def replay_latency(bench):
    load = ("--connections", 64, "--urls", 1000, "--seconds", bench.seconds)
    with bench.origin(entries=1000) as (_, origin), bench.replay(bench.fixture(1000)) as (_, proxy):
        most = bench.load(proxy, "--through", *load)["requests"]
        load += ("--rate", int(most / 2))
        return [bench.measure(lambda: bench.load(proxy, "--through", *load)["p99"], lambda: bench.load(origin, *load)["p99"])]


def record(bench):
    """No URL and no payload repeats."""
    load = ("--through", "--mode", "tls", "--connections", 64, "--urls", 1_000_000_000, "--seconds", bench.seconds)
    with bench.origin("tls") as (_, origin), bench.bare_proxy(origin) as (_, bare):
        def ours():
            with bench.temporary() as folder, bench.record(folder, origin) as (_, proxy):
                return bench.load(proxy, *load)["requests"]
        return [bench.measure(ours, lambda: bench.load(bare, *load)["requests"])]


def record_large(bench):
    load = ("--through", "--mode", "tls", "--connections", 1, "--count", 1, "--seconds", 600, "--path", f"/bytes/{GIB}")
    peaks = []
    with bench.origin("tls") as (_, origin), bench.bare_proxy(origin) as (_, bare):
        def ours():
            with bench.temporary() as folder, bench.record(folder, origin) as (process, proxy):
                idle = memory(process, "VmRSS")
                result = bench.load(proxy, *load)["bytes"]
                peaks.append((memory(process, "VmHWM") - idle, None))
                return result
        return [bench.measure(ours, lambda: bench.load(bare, *load)["bytes"]), peaks]


def overhead(command):
    def measure(bench):
        with bench.temporary() as folder:
            prefix = bench.replay_command(bench.fixture(1000)) if command == "replay" else bench.record_command(os.path.join(folder, "a.har"))
            return [bench.measure(lambda: seconds([*prefix, "--", "true"]), lambda: seconds(["true"]), 4 * bench.pairs)]
    return measure


def replay_memory(bench):
    """All entries of a fixture are served once."""
    entries, payload = 5000, 64 * KIB
    fixture = bench.fixture(entries, payload)

    def ours():
        with bench.replay(fixture) as (process, proxy):
            bench.fetch_once(proxy, entries)
            return memory(process)
    return [bench.measure(ours)]


def first_answer(entries):
    """From the start of the process to the end of the first response; the fixture is in the page cache."""
    def measure(bench):
        fixture = bench.fixture(entries // 10 if bench.quick else entries)
        used = []

        def ours():
            begin = time.perf_counter()
            with bench.replay(fixture) as (process, proxy):
                bench.load(proxy, "--through", "--connections", 1, "--count", 1)
                took = time.perf_counter() - begin
                used.append((memory(process), None))
                return took
        seconds(["cat", fixture])
        pairs = bench.measure(ours, lambda: seconds(["cat", fixture]))
        if entries > 100_000:
            os.remove(fixture)
        return [pairs, used]
    return measure


def miss(bench):
    entries = 10_000 if bench.quick else 100_000
    load = ("--through", "--connections", 1, "--urls", 1000)
    with bench.replay(bench.fixture(entries)) as (_, proxy):
        bench.fetch_once(proxy, 1000)
        return [bench.measure(lambda: bench.load(proxy, *load, "--miss", "--count", 500, failing=True)["p50"],
                              lambda: bench.load(proxy, *load, "--count", 2000)["p50"])]


def finish(bench, folder, origin, count, watch=None):
    """Records so many exchanges and returns how long it takes from SIGTERM to the end."""
    with bench.record(folder, origin) as (process, proxy):
        bench.fetch_once(proxy, count, "--mode", "tls")
        begin = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        while watch is not None and process.poll() is None:
            try:
                watch.append(memory(process))
            except (OSError, TypeError):
                break
            time.sleep(0.02)
        process.wait()
        return time.perf_counter() - begin


def finalise(bench):
    with bench.origin("tls") as (_, origin), bench.temporary() as outer:
        folder = os.path.join(outer, "recording")

        def ours():
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder)
            return finish(bench, folder, origin, 100_000)

        def copy():
            took = seconds(["cp", "-r", folder, f"{folder}-copy"])
            shutil.rmtree(f"{folder}-copy")
            return took
        return [bench.measure(ours, copy)]


def finalise_memory(bench):
    def peak(payload):
        with bench.origin("tls", payload=payload) as (_, origin), bench.temporary() as folder:
            used = []
            finish(bench, folder, origin, 5000, used)
            return max(used)
    return [bench.measure(lambda: peak(64 * KIB), lambda: peak(KIB))]


def rerecord(bench):
    with bench.origin("tls") as (_, origin), bench.temporary() as folder:
        har = os.path.join(folder, "a.har")
        finish(bench, folder, origin, 1000)
        written = os.stat(har).st_mtime_ns
        pairs = bench.measure(lambda: finish(bench, folder, origin, 1000), lambda: seconds([bench.harproxy, "check", har]))
        if os.stat(har).st_mtime_ns != written:
            raise SystemExit("re-recording unchanged exchanges wrote the fixture")
        return [pairs]


def idle(command):
    """Memory of TLS connections that have had one request each."""
    def measure(bench):
        count = 5000
        with bench.origin("tls") as (_, origin), bench.temporary() as folder:
            def ours():
                proxy = bench.replay(bench.fixture(1000, mode="tls")) if command == "replay" else bench.record(folder, origin)
                with proxy as (process, address):
                    bench.fetch_once(address, 1000, "--mode", "tls")
                    before = memory(process)
                    clients = subprocess.Popen([bench.peer, "idle", "--ca-dir", bench.ca, "--to", address, "--through", "--mode", "tls",
                                                "--connections", str(count), "--urls", "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                    clients.stdout.readline()
                    used = (memory(process) - before) / count
                    clients.communicate()
                    return used
            return [bench.measure(ours)]
    return measure


def drift(bench):
    """500 endpoints with 2 KB answers: the time of `harproxy drift`, and of curl with as many requests at a time."""
    used = []
    with bench.origin(payload=2 * KIB) as (_, origin), bench.temporary() as folder:
        urls = [f"http://{origin}/{''.join(chr(97 + int(digit)) for digit in str(n))}/items" for n in range(500)]

        def entry(url):
            with urllib.request.urlopen(url) as response:
                payload, headers = response.read().decode(), response.getheaders()
            return {"startedDateTime": "2026-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": {"send": 0, "wait": 1, "receive": 0},
                    "request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": [], "queryString": [], "cookies": [],
                                "headersSize": -1, "bodySize": 0},
                    "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "redirectURL": "",
                                 "headers": [{"name": name, "value": value} for name, value in headers], "headersSize": -1,
                                 "bodySize": len(payload), "content": {"size": len(payload), "mimeType": "application/json", "text": payload}}}

        har, curl = os.path.join(folder, "a.har"), os.path.join(folder, "urls")
        with open(har, "w", encoding="utf-8") as file:
            json.dump({"log": {"version": "1.2", "creator": {"name": "bench", "version": "1"}, "entries": [entry(url) for url in urls]}}, file)
        with open(curl, "w", encoding="utf-8") as file:
            file.writelines(f'url = "{url}"\noutput = "/dev/null"\n' for url in urls)

        def ours():
            begin = time.perf_counter()
            process = subprocess.Popen([bench.harproxy, "drift", har, "--concurrency", "4", "--quiet", "--config", bench.configuration],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"drift between equal answers ends with {os.waitstatus_to_exitcode(status)}")
            used.append((usage.ru_maxrss * KIB, None))
            return time.perf_counter() - begin
        command = ["curl", "--silent", "--parallel", "--parallel-max", "4", "--config", curl]
        return [bench.measure(ours, lambda: seconds(command)), used]


def binary(bench):
    return [[(os.path.getsize(bench.harproxy), None)]]


ROWS = [
    Row("replay-http", replay("http"), [Figure("replay, HTTP/1.1", "/s", "ratio", 0.75, True)], True),
    Row("replay-tls", replay("tls"), [Figure("replay, CONNECT and TLS", "/s", "ratio", 0.75, True)], True),
    Row("replay-h2", replay("h2"), [Figure("replay, HTTP/2", "/s", "ratio", 0.75, True)], True),
    Row("replay-mitmproxy", others.mitmproxy, [Figure("replay, against mitmproxy", "/s", "ratio", 50, True)]),
    Row("replay-wiremock", others.wiremock, [Figure("replay, against WireMock", "/s", "ratio", 3, True)]),
    Row("replay-entries", replay_entries, [Figure("replay, 100,000 entries against 10", "/s", "ratio", 0.8, True)]),
    Row("replay-bytes", replay("http", MIB, "bytes", 10), [Figure("replay, payloads of 1 MiB", "MiB/s", "ratio", 0.85, True)], True),
    Row("replay-p99", replay_latency, [Figure("replay, p99 latency at half load", "µs", "ratio", 1.5)]),
    Row("record-tls", record, [Figure("record, TLS", "/s", "ratio", 0.6, True)], True),
    Row("record-bytes", record_large, [Figure("record, one payload of 1 GiB", "MiB/s", "ratio", 0.6, True),
                                       Figure("– memory above idle", "MiB", "value", 64 * MIB)]),
    Row("overhead-replay", overhead("replay"), [Figure("`replay -- true`, against `true`", "ms", "difference", 0.05)], True),
    Row("overhead-record", overhead("record"), [Figure("`record -- true`, against `true`", "ms", "difference", 0.06)], True),
    Row("browser", browser.session, [Figure("browser session, record against no proxy", "ms", "ratio", 1.25)]),
    Row("replay-memory", replay_memory, [Figure("memory after all of a 325 MB fixture", "MB", "value", 128e6)]),
    Row("first-answer", first_answer(100_000), [Figure("first answer from 200 MB, beside `cat`", "ms", "value", 0.5),
                                                Figure("– anonymous memory", "MB", "value", 60e6)], True),
    Row("first-answer-2gb", first_answer(1_000_000), [Figure("first answer from 2 GB, beside `cat`", "s", "value", 4),
                                                      Figure("– anonymous memory", "MB", "value", 300e6)]),
    Row("miss", miss, [Figure("explained miss, 100,000 entries, beside a hit", "µs", "value", 0.002)], True),
    Row("finalise", finalise, [Figure("finalise 100,000 exchanges, against `cp -r`", "s", "ratio", 4)]),
    Row("finalise-memory", finalise_memory, [Figure("– memory, 64 KiB payloads against 1 KiB", "MiB", "difference", 16 * MIB)]),
    Row("rerecord", rerecord, [Figure("re-record 1,000 unchanged, against `check`", "ms", "ratio", 2)]),
    Row("idle-replay", idle("replay"), [Figure("idle TLS connection, replay", "KiB", "value", 60 * KIB)]),
    Row("idle-record", idle("record"), [Figure("idle TLS connection, record", "KiB", "value", 80 * KIB)]),
    Row("drift", drift, [Figure("drift of 500 endpoints with 2 KB, against curl", "ms", "ratio", 2),
                         Figure("– memory", "MiB", "value", 48 * MIB)], True),
    Row("serve-rules", with_rules(TEN_RULES), [Figure("ten rules that do not match, against none", "/s", "ratio", 0.9, True)], True),
    Row("serve-patch", with_rules(PATCH, 100 * KIB), [Figure("a patch of 100 KiB of JSON, against none", "/s", "ratio", 0.03, True)]),
    Row("serve-template", with_rules(TEMPLATE, 100 * KIB), [Figure("a template of 100 KiB, against none", "/s", "ratio", 0.1, True)]),
    Row("serve-http", serve_plain, [Figure("serve with its admin API, against replay", "/s", "ratio", 0.6, True)], True),
    Row("serve-delay", serve_delay, [Figure("500 clients with a delay of one second", "s", "value", 1.3)], True),
    Row("serve-live", serve_live, [Figure("a live route over TLS, against a bare proxy", "/s", "ratio", 0.6, True)], True),
    Row("binary", binary, [Figure("binary", "MB", "value", 25e6)], True),
]
