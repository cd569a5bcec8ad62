"""An addon for mitmdump: prints the address that it listens on, and refuses upstream connections."""
from mitmproxy import ctx


class Bench:
    def running(self):
        (address, port, *_), = ctx.master.addons.get("proxyserver").listen_addrs()
        print(f"{address}:{port}", flush=True)

    def server_connect(self, data):
        data.server.error = "no connection: this is a replay"


addons = [Bench()]
