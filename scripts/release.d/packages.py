#!/usr/bin/env python3
"""Packs a binary as a Python wheel and as npm packages.

    scripts/release.d/packages.py BINARY TARGET VERSION FOLDER
    scripts/release.d/packages.py --list VERSION

`--list` prints the names of the files of a whole release, without SHA256SUMS. The packages name the repository if the
variable REPOSITORY has its URL, as npm demands of trusted publishers. Equal input gives equal bytes. No tool but Python is
needed.
"""
import base64
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The target of rustc: the tag of wheels, and the platform of npm.
PLATFORMS = {
    "x86_64-unknown-linux-gnu": ("manylinux_2_17_x86_64.manylinux2014_x86_64", "linux", "x64"),
    "aarch64-unknown-linux-gnu": ("manylinux_2_17_aarch64.manylinux2014_aarch64", "linux", "arm64"),
    "x86_64-apple-darwin": ("macosx_10_12_x86_64", "darwin", "x64"),
    "aarch64-apple-darwin": ("macosx_11_0_arm64", "darwin", "arm64"),
    "x86_64-pc-windows-msvc": ("win_amd64", "win32", "x64"),
}
SUMMARY = "Record the HTTP and HTTPS traffic of any program into HAR files, and replay it strictly in CI"
LICENCES = ["LICENSE-MIT", "LICENSE-APACHE"]
REPOSITORY = os.environ.get("REPOSITORY")


def read(*path):
    with open(os.path.join(ROOT, *path), "rb") as file:
        return file.read()


def write_wheel(binary, name, tag, version, folder):
    info, files = f"harproxy-{version}.dist-info", {}
    for module in sorted(os.listdir(os.path.join(ROOT, "packaging", "python", "harproxy"))):
        if module.endswith(".py"):
            files[f"harproxy/{module}"] = (read("packaging", "python", "harproxy", module), 0o644)
    files[f"harproxy-{version}.data/scripts/{name}"] = (binary, 0o755)
    metadata = (
        f"Metadata-Version: 2.4\nName: harproxy\nVersion: {version}\nSummary: {SUMMARY}\nLicense-Expression: MIT OR Apache-2.0\n"
        + "".join(f"License-File: {licence}\n" for licence in LICENCES)
        + (f"Project-URL: Repository, {REPOSITORY}\n" if REPOSITORY else "")
        + "Requires-Python: >=3.9\nDescription-Content-Type: text/markdown\n\n"
    )
    files[f"{info}/METADATA"] = (metadata.encode() + read("README.md"), 0o644)
    tags = "".join(f"Tag: py3-none-{one}\n" for one in tag.split("."))
    files[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: harproxy\nRoot-Is-Purelib: false\n{tags}".encode(), 0o644)
    files[f"{info}/entry_points.txt"] = (b"[pytest11]\nharproxy = harproxy.pytest_plugin\n", 0o644)
    for licence in LICENCES:
        files[f"{info}/licenses/{licence}"] = (read(licence), 0o644)
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}\n"
        for path, (content, _) in files.items()
    )
    files[f"{info}/RECORD"] = (f"{record}{info}/RECORD,,\n".encode(), 0o644)
    with zipfile.ZipFile(os.path.join(folder, wheel_name(tag, version)), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, (content, mode) in files.items():
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: on Windows, the modes would not count.
            wheel.writestr(entry, content)


def write_npm(path, files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    with open(path, "wb") as file:
        file.write(gzip.compress(packed.getvalue(), mtime=0))


def write_npm_packages(binary, name, system, processor, version, folder):
    licences = {licence: (read(licence), 0o644) for licence in LICENCES}
    manifest = json.loads(read("packaging", "npm", "harproxy", "package.json"))
    if {manifest["version"], *manifest["optionalDependencies"].values()} != {version}:
        sys.exit(f"error: the versions in packaging/npm/harproxy/package.json are not all {version}")
    if set(manifest["optionalDependencies"]) != {f"@harproxy/{one}-{cpu}" for _, one, cpu in PLATFORMS.values()}:
        sys.exit("error: the platforms in packaging/npm/harproxy/package.json are not those of this script")
    files, here = dict(licences), os.path.join(ROOT, "packaging", "npm", "harproxy")
    for parent, _, names in os.walk(here):
        for one in names:
            path = os.path.relpath(os.path.join(parent, one), here).replace(os.sep, "/")
            files[path] = (read("packaging", "npm", "harproxy", path), 0o755 if path.startswith("bin") else 0o644)
    files["README.md"] = (read("README.md"), 0o644)
    repository = {"repository": {"type": "git", "url": f"git+{REPOSITORY}.git"}} if REPOSITORY else {}
    files["package.json"] = ((json.dumps({**manifest, **repository}, indent=2) + "\n").encode(), 0o644)
    write_npm(os.path.join(folder, f"harproxy-{version}.tgz"), files)
    own = {
        "name": f"@harproxy/{system}-{processor}", "version": version, "description": f"The binary of harproxy for {system}-{processor}",
        "license": manifest["license"], "os": [system], "cpu": [processor], **repository,
    }
    files = {**licences, "package.json": ((json.dumps(own, indent=2) + "\n").encode(), 0o644), name: (binary, 0o755)}
    write_npm(os.path.join(folder, f"harproxy-{system}-{processor}-{version}.tgz"), files)


def binary_name(target, version):
    return f"harproxy-{version}-{target}" + (".exe" if "windows" in target else "")


def wheel_name(tag, version):
    return f"harproxy-{version}-py3-none-{tag}.whl"


def names(version):
    yield f"harproxy-{version}.tgz"
    for target, (tag, system, processor) in PLATFORMS.items():
        yield binary_name(target, version)
        yield f"harproxy-{version}-{target}.cdx.json"
        yield wheel_name(tag, version)
        yield f"harproxy-{system}-{processor}-{version}.tgz"


def main():
    if sys.argv[1] == "--list":
        print("\n".join(names(sys.argv[2])))
        return
    path, target, version, folder = sys.argv[1:]
    if target not in PLATFORMS:
        sys.exit(f"error: there are no packages for {target}")
    tag, system, processor = PLATFORMS[target]
    with open(path, "rb") as file:
        binary = file.read()
    name = "harproxy.exe" if system == "win32" else "harproxy"
    write_wheel(binary, name, tag, version, folder)
    write_npm_packages(binary, name, system, processor, version, folder)


main()
