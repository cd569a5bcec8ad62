"""Registries for scripts/origin.py: a git repository, a package index for pip, and a registry for npm. Like real
ones, they support content negotiation, compression, validators and ranges, and serve archives from another host.
"""
import base64
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import zipfile

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
NPM_SHORT = "application/vnd.npm.install-v1+json"
WHEEL = "harproxy_demo-1.0-py3-none-any.whl"
TARBALL = "harproxy-demo-1.0.0.tgz"


class Registry:
    def __init__(self):
        self.folder = tempfile.mkdtemp()
        if shutil.which("git"):
            make_repository(self.folder)
        self.wheel = make_wheel()
        self.tarball = make_tarball()

    def close(self):
        shutil.rmtree(self.folder)

    def answer(self, path, asked, base):
        """Status, headers and body for a request with these headers, or None for other paths. `base` is the
        requested origin."""
        accepts = asked.get("Accept", "")
        if path == "/api/simple/harproxy-demo/":
            link = f"/api/archives/{WHEEL}"
            if SIMPLE_JSON in accepts:
                digest = hashlib.sha256(self.wheel).hexdigest()
                file = {"filename": WHEEL, "url": link, "hashes": {"sha256": digest}, "requires-python": ">=3.7"}
                index = {"meta": {"api-version": "1.0"}, "name": "harproxy-demo", "files": [file]}
                return changing(json.dumps(index).encode(), SIMPLE_JSON, asked)
            return changing(f'<!doctype html><a href="{link}">{WHEEL}</a>\n'.encode(), "text/html", asked)
        if path == "/api/npm/harproxy-demo":
            short = NPM_SHORT in accepts
            return changing(json.dumps(self.packument(base, short)).encode(), NPM_SHORT if short else "application/json", asked)
        if path == f"/api/npm/harproxy-demo/-/{TARBALL}":
            return 302, [("Location", f"{base}/api/archives/{TARBALL}")], b""
        if path == f"/api/archives/{WHEEL}":
            return lasting(self.wheel, asked)
        if path == f"/api/archives/{TARBALL}":
            return lasting(self.tarball, asked)
        if path.startswith("/api/repo.git/"):
            file = os.path.normpath(os.path.join(self.folder, path.removeprefix("/api/")))
            if not file.startswith(self.folder) or not os.path.isfile(file):
                return 404, [("Content-Type", "text/plain")], b"no such file"
            with open(file, "rb") as content:
                return 200, [("Content-Type", "application/octet-stream")], content.read()
        return None

    def packument(self, base, short):
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(self.tarball).digest()).decode()
        archive = {"tarball": f"{base}/api/npm/harproxy-demo/-/{TARBALL}", "integrity": integrity}
        version = {"name": "harproxy-demo", "version": "1.0.0", "main": "index.js", "dist": archive}
        whole = {} if short else {"description": "A package for tests.", "time": {"1.0.0": "2026-01-01T00:00:00.000Z"}}
        return {"name": "harproxy-demo", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}, **whole}


def changing(body, kind, asked):
    """A resource that can change: compressed if accepted, and 304 if the client has it."""
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = [("ETag", tag), ("Cache-Control", "public, max-age=0"), ("Vary", "Accept, Accept-Encoding")]
    if asked.get("If-None-Match") == tag:
        return 304, headers, b""
    headers.append(("Content-Type", kind))
    if "gzip" in asked.get("Accept-Encoding", ""):
        return 200, [*headers, ("Content-Encoding", "gzip")], gzip.compress(body, mtime=0)
    return 200, headers, body


def lasting(body, asked):
    """An immutable resource, as a whole or as the requested range."""
    headers = [("ETag", f'"{hashlib.sha256(body).hexdigest()[:16]}"'), ("Cache-Control", "public, immutable, max-age=31536000")]
    headers += [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
    if not asked.get("Range", "").startswith("bytes="):
        return 200, headers, body
    first, _, last = asked["Range"].removeprefix("bytes=").partition("-")
    if first:
        begin, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
    else:
        begin, end = max(len(body) - int(last), 0), len(body) - 1
    if begin > end:
        return 416, [("Content-Range", f"bytes */{len(body)}")], b""
    return 206, [*headers, ("Content-Range", f"bytes {begin}-{end}/{len(body)}")], body[begin:end + 1]


def make_repository(folder):
    """A bare git repository for the dumb protocol, with one commit that is the same on every run."""
    work = os.path.join(folder, "work")
    same = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z", "GIT_CONFIG_GLOBAL": os.devnull}
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"]

    def git(*arguments):
        subprocess.run(["git", *who, *arguments], env={**os.environ, **same}, check=True, stdout=subprocess.DEVNULL)

    git("init", "-q", work)
    with open(os.path.join(work, "README"), "w") as file:
        file.write("a repository for tests\n")
    git("-C", work, "add", "README")
    git("-C", work, "commit", "-q", "-m", "First")
    git("clone", "-q", "--bare", work, os.path.join(folder, "repo.git"))
    git("-C", os.path.join(folder, "repo.git"), "update-server-info")


def big():
    """Two megabytes that cannot be compressed."""
    return random.Random(7).randbytes(2 << 20)


def make_wheel():
    """A wheel that is much longer than the part that a resolver needs."""
    info = "harproxy_demo-1.0.dist-info"
    files = {
        "harproxy_demo.py": b"ANSWER = 42\n",
        "harproxy_demo.bin": big(),
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: harproxy-demo\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)
    return content.getvalue()


def make_tarball():
    manifest = {"name": "harproxy-demo", "version": "1.0.0", "main": "index.js"}
    files = {"package.json": json.dumps(manifest).encode(), "index.js": b"module.exports = 42;\n", "big.bin": big()}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(content.getvalue(), mtime=0)
