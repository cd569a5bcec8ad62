"""The programs that are measured, their files, and what a figure needs of them: load, memory, time."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST = "api.test"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# The rule applies to every request. Each POST has another `sentAt`.
CONFIGURATION = """[[match]]
glob = "**/v1/**"
ignore-query = ["_"]
ignore-body = ["$.sentAt"]
"""


class Skip(Exception):
    """A row can't be measured on this machine."""


class Bench:
    """The binaries, a temporary folder, the settings of the run, and the processes that it started."""

    def __init__(self, options):
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
        given = {"harproxy": options.binary, "harproxy-peer": options.peer}
        packages = [package for package, path in given.items() if not path]
        if packages and not options.no_build:
            subprocess.run(["cargo", "build", "--profile", "dist", "--quiet", *(f"-p={package}" for package in packages)],
                           cwd=ROOT, check=True)
        self.harproxy, self.peer = (os.path.abspath(path or os.path.join(target, "dist", name))
                                    for name, path in (("harproxy", options.binary), ("peer", options.peer)))
        for path in (self.harproxy, self.peer):
            if not os.path.exists(path):
                sys.exit(f"{path} does not exist: run scripts/bench without --no-build")
        self.quick, self.pairs, self.seconds = options.quick, options.pairs, options.seconds
        self.folder = tempfile.mkdtemp(prefix="harproxy-bench-")
        self.ca = os.path.join(self.folder, "ca")
        self.configuration = self.write("harproxy.toml", CONFIGURATION)
        self.running = []
        subprocess.run([self.harproxy, "ca", "path", "--ca-dir", self.ca], check=True, stdout=subprocess.DEVNULL)

    def end(self):
        for process in list(self.running):
            self.stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Files

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    @contextlib.contextmanager
    def temporary(self):
        """A folder for one recording."""
        folder = tempfile.mkdtemp(dir=self.folder)
        yield folder
        shutil.rmtree(folder)

    def fixture(self, entries, payload=KIB, mode="http"):
        """A HAR with so many different entries, written once per run."""
        path = os.path.join(self.folder, f"{entries}-{payload}-{mode}.har")
        if not os.path.exists(path):
            subprocess.run([self.peer, "fixture", "--entries", str(entries), "--payload", str(payload),
                            "--scheme", "http" if mode == "http" else "https",
                            "--version", "HTTP/2" if mode == "h2" else "HTTP/1.1", path], check=True)
        return path

    # Processes

    @contextlib.contextmanager
    def started(self, command, **options):
        """Starts a server that prints its address, or its port as WireMock does: the process and the address."""
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options)
        self.running.append(process)
        matches = (re.search(r"127\.0\.0\.1:(\d+)|^port:\s+(\d+)", line) for line in process.stdout)
        match = next(filter(None, matches), None)
        if not match:
            sys.exit(f"{' '.join(map(str, command))} did not start")
        yield process, f"127.0.0.1:{match[1] or match[2]}"
        self.stop(process)

    def stop(self, process, how=signal.SIGKILL):
        if process in self.running:
            self.running.remove(process)
            process.send_signal(how)
            process.wait(timeout=300)
            process.stdout.close()

    def replay_command(self, fixture, rules=""):
        reports = (os.path.join(self.folder, f"report.{ending}") for ending in ("html", "xml"))
        configuration = self.write("rules.toml", CONFIGURATION + rules) if rules else self.configuration
        return [self.harproxy, "replay", fixture, "--ca-dir", self.ca, "--config", configuration, "-p", "0",
                *(word for report in reports for word in ("--report", report))]

    def record_command(self, output, upstream=None, hosts=(HOST,)):
        command = [self.harproxy, "record", "-o", output, "--ca-dir", self.ca, "--config", self.configuration, "-p", "0"]
        if upstream:
            command += ["-g", f"https://*{HOST}/**", "--upstream-ca", os.path.join(self.ca, "ca.pem")]
            command += (word for host in hosts for word in ("--map", f"{host}={upstream}"))
        return command

    def replay(self, fixture, rules=""):
        return self.started(self.replay_command(fixture, rules))

    def serve(self, fixture, rules="", upstream=None):
        configuration = self.write("serve.toml", CONFIGURATION + rules)
        # CI=true refuses live sources without --allow-live.
        live = ["--allow-live", "--map", f"{HOST}={upstream}", "--upstream-ca", os.path.join(self.ca, "ca.pem")] if upstream else []
        return self.started([self.harproxy, "serve", fixture, "--ca-dir", self.ca, "--config", configuration, "-p", "0", *live])

    def record(self, folder, upstream, **options):
        return self.started(self.record_command(os.path.join(folder, "a.har"), upstream, **options))

    def origin(self, mode="http", entries=0, payload=KIB):
        tls = [] if mode == "http" else ["--tls", "--mode", mode]
        return self.started([self.peer, "origin", "--ca-dir", self.ca, "--payload", payload, "--entries", entries, *tls])

    def bare_proxy(self, origin):
        return self.started([self.peer, "proxy", "--ca-dir", self.ca, "--origin", origin])

    # Measurements

    def load(self, to, *options, failing=False):
        """Runs the load generator: requests/s, bytes/s, p50 and p99 in seconds."""
        done = subprocess.run([self.peer, "load", "--ca-dir", self.ca, "--to", to, *map(str, options)], check=True,
                              stdout=subprocess.PIPE, text=True)
        result = json.loads(done.stdout)
        if result["failed"] and not failing:
            sys.exit(f"{result['failed']} of {result['count']} responses have another status than 200")
        return result

    def fetch_once(self, to, entries, *options):
        """Requests every entry once."""
        self.load(to, "--through", "--connections", 8, "--urls", entries, "--count", entries, "--seconds", 600, *options)

    def measure(self, ours, baseline=None, pairs=None):
        """Runs both alternately: a list of pairs."""
        results = []
        for _ in range(pairs or self.pairs):
            own = ours()
            results.append((own, baseline() if baseline else None))
        return results


def memory(process, field="Anonymous"):
    """Bytes of anonymous memory, or of resident memory: now (`VmRSS`) or at its peak (`VmHWM`)."""
    file = "status" if field.startswith("Vm") else "smaps_rollup"
    with open(f"/proc/{process.pid}/{file}", encoding="utf-8") as lines:
        return int(re.search(rf"^{field}:\s+(\d+) kB", lines.read(), re.M)[1]) * KIB


def seconds(command, **options):
    """Time of a command, whatever its exit status is."""
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, **options)
    return time.perf_counter() - begin
