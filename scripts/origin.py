#!/usr/bin/env python3
"""An API and package registries on loopback for scripts/clients and scripts/browser: in cleartext and over TLS, with
the test PKI.

Prints `HTTP_PORT HTTPS_PORT` once it listens and serves until its standard input closes.
"""
import gzip
import http.server
import json
import os
import ssl
import sys
import threading

from registry import Registry

CERTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "certs")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6300010000050001"
    "0d0a2db40000000049454e44ae426082"
)


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self):
        sent = self.body()
        path = self.path.split("?")[0]
        cors = [("Access-Control-Allow-Origin", self.headers.get("Origin", "*")), ("Vary", "Origin")]
        as_json = [("Content-Type", "application/json")] + cors
        if self.command == "OPTIONS":
            allow = [("Access-Control-Allow-Headers", "content-type"), ("Access-Control-Allow-Methods", "*")]
            self.answer(204, cors + allow, b"")
        elif path == "/api/json":
            self.answer(200, as_json, json.dumps({"path": self.path, "user": {"id": 7, "name": "Ada"}}).encode())
        elif path == "/v1/users/7":
            self.answer(200, as_json, json.dumps({"id": 7, "name": "Ada"}, separators=(",", ":")).encode())
        elif path == "/v1/orders" and self.command == "POST":
            self.answer(201, as_json, json.dumps({"order": 1815, **json.loads(sent)}, separators=(",", ":")).encode())
        elif path == "/api/gzip":
            body = json.dumps({"packed": list(range(50))}).encode()
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                self.answer(200, as_json + [("Content-Encoding", "gzip")], gzip.compress(body, mtime=0))
            else:
                self.answer(200, as_json, body)
        elif path == "/api/items" and self.command == "POST":
            self.answer(201, as_json, json.dumps({"got": sent.decode("utf-8", "replace")}).encode())
        elif path == "/api/redirect":
            self.answer(302, cors + [("Location", "/api/json?from=redirect")], b"")
        elif path == "/api/image.png":
            self.answer(200, cors + [("Content-Type", "image/png")], PNG)
        elif found := REGISTRY.answer(path, self.headers, self.base()):
            self.answer(*found)
        else:
            self.answer(404, as_json, b'{"error":"no such path"}')

    def base(self):
        """The origin as the client calls it."""
        return f"{'https' if isinstance(self.connection, ssl.SSLSocket) else 'http'}://{self.headers['Host']}"

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = handle_any


def serve(tls):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(CERTS, "origin.pem"), os.path.join(CERTS, "origin-key.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


if __name__ == "__main__":
    REGISTRY = Registry()
    try:
        print(f"{serve(False)} {serve(True)}", flush=True)
        sys.stdin.read()
    finally:
        REGISTRY.close()
