"""A browser session: a page on this machine whose script requests an API on 20 origins, in a new Chromium each time.

The script requests all origins in parallel, ten times one after the other. Chromium opens at most 32 connections to a
proxy, and some requests fail if more are wanted at once.
"""
import contextlib
import http.server
import os
import queue
import shutil
import signal
import subprocess
import threading

from tools import HOST, Skip

ROUNDS, ORIGINS = 10, 20
HOSTS = [f"h{n}.{HOST}" for n in range(ORIGINS)]
PAGE = """<!doctype html><link rel="icon" href="data:,"><script type="module">
async function session() {
  const begin = performance.now();
  for (let round = 0; round < %d; round++) {
    const urls = %s.map((host, n) => `https://${host}/v1/users/${n}/orders?page=${round}&limit=20`);
    await Promise.all(urls.map(async (url) => (await fetch(url)).json()));
  }
  return performance.now() - begin;
}
await fetch('/result', {method: 'POST', body: await session().catch(String)});
</script>""" % (ROUNDS, HOSTS)


class Page(http.server.BaseHTTPRequestHandler):
    results = queue.Queue()

    def log_message(self, *_):
        pass

    def respond(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.respond(PAGE.encode())

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.respond(b"")
        self.results.put(text)


def visit(bench, chromium, page, *options):
    """The time in seconds from the script's first request to its last response."""
    with bench.temporary() as profile, subprocess.Popen(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors", "--remote-debugging-port=0",
             f"--user-data-dir={profile}", *options, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            return float(Page.results.get(timeout=60)) / 1e3
        finally:
            # Its helper processes write to the profile until they end.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def session(bench):
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        raise Skip("chromium is not on the PATH")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = f"http://127.0.0.1:{server.server_port}/"
    with bench.origin("any") as (_, origin):
        def recorded():
            with bench.temporary() as folder, bench.record(folder, origin, hosts=HOSTS) as (_, proxy):
                return visit(bench, chromium, page, f"--proxy-server={proxy}")

        def direct():
            return visit(bench, chromium, page, f"--host-resolver-rules=MAP *.{HOST} {origin}")
        pairs = bench.measure(recorded, direct)
    server.shutdown()
    return [pairs]
