"""Each worker of pytest-xdist is a session of its own: it sees every recorded sequence from its beginning."""

import os
from urllib.parse import urlsplit


def pytest_configure():
    # Both are set in a worker under `harproxy record` or `harproxy replay`, and nowhere else.
    worker, proxy = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("HARPROXY_RUN_PROXY")
    if not worker or not proxy:
        return
    url = urlsplit(proxy)
    user, password = f"{url.username}+{worker}" if url.username else worker, url.password or "x"
    own = f"http://{user}:{password}@{url.hostname}:{url.port}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        os.environ[name] = os.environ[name.lower()] = own
