"""What mitmdump needs to be measured by scripts/bench: it says where it listens, and its requests go to the bench's origin."""
import os

from mitmproxy import ctx


class Bench:
    """BENCH_ORIGIN is `ADDRESS:PORT`, empty where nothing is to be dialled."""

    def running(self):
        """As every program of the bench does, in its first line."""
        (address, port, *_), = ctx.master.addons.get("proxyserver").listen_addrs()
        print(f"{address}:{port}", flush=True)

    def server_connect(self, data):
        """Keeps the name for TLS."""
        address, _, port = os.environ.get("BENCH_ORIGIN", "").rpartition(":")
        if address:
            data.server.address = (address, int(port))
        else:
            data.server.error = "a replay dials nobody"


addons = [Bench()]
