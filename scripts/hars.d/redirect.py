"""An addon for mitmdump: sends every request to this machine."""
import os


def server_connect(data):
    data.server.address = ("127.0.0.1", int(os.environ["ORIGIN_PORT"]))
