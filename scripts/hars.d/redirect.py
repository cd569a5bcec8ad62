"""For mitmdump: whatever is asked for is on this machine."""
import os


def server_connect(data):
    data.server.address = ("127.0.0.1", int(os.environ["ORIGIN_PORT"]))
