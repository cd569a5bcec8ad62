"""mitmproxy and WireMock, which replay the same fixture. Neither compares payloads of requests here, harproxy does."""
import json
import os
import shutil

from tools import ROOT, Skip


def side_by_side(bench, command, through, **options):
    load = ("--connections", 8, "--urls", 1000, "--seconds", bench.seconds)
    with bench.replay(bench.fixture(1000)) as (_, proxy), bench.started(command, **options) as (_, other):
        way = ("--through",) if through else ()
        # WireMock is slow until the JVM has compiled it.
        bench.load(other, *way, *load[:4], "--seconds", 10)
        return [bench.measure(lambda: bench.load(proxy, "--through", *load)["requests"],
                              lambda: bench.load(other, *way, *load)["requests"])]


def mitmproxy(bench):
    mitmdump = shutil.which("mitmdump")
    if not mitmdump:
        raise Skip("mitmdump is not on the PATH")
    addon = os.path.join(ROOT, "scripts", "bench.d", "mitmproxy_addon.py")
    settings = ["server_replay_reuse=true", "server_replay_extra=500", "server_replay_ignore_content=true", "connection_strategy=lazy",
                f"confdir={bench.folder}/mitmproxy"]
    return side_by_side(bench, [mitmdump, "-q", "--listen-host", "127.0.0.1", "-p", "0", "-s", addon, "--server-replay", bench.fixture(1000),
                                *(word for setting in settings for word in ("--set", setting))], True)


def wiremock(bench):
    jar, java = os.environ.get("WIREMOCK_JAR"), shutil.which("java")
    if not jar or not java:
        raise Skip("set WIREMOCK_JAR to wiremock-standalone.jar, and install Java")
    with open(bench.fixture(1000), encoding="utf-8") as file:
        entries = json.load(file)["log"]["entries"]
    stubs = [{"request": {"method": entry["request"]["method"], "url": entry["request"]["url"].split("api.test", 1)[1]},
              "response": {"status": 200, "body": entry["response"]["content"]["text"],
                           "headers": {header["name"]: header["value"] for header in entry["response"]["headers"]}}}
             for entry in entries]
    os.makedirs(os.path.join(bench.folder, "wiremock", "mappings"), exist_ok=True)
    bench.write("wiremock/mappings/all.json", json.dumps({"mappings": stubs}))
    return side_by_side(bench, [java, "-jar", jar, "--port", "0", "--bind-address", "127.0.0.1", "--no-request-journal", "--root-dir",
                                os.path.join(bench.folder, "wiremock")], False)
