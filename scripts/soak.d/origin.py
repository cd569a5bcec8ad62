"""The origin of scripts/soak in a separate process: answers.py over HTTP/1.1, in cleartext and over TLS."""
import collections
import http.server
import os
import ssl
import threading
import time

from answers import answer

CERTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "certs")
TURNS, LOCK = collections.Counter(), threading.Lock()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *_):
        """Clients that break off are part of the load."""


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def payload(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def turn(self):
        with LOCK:
            TURNS[self.path] += 1
            return TURNS[self.path] - 1

    def serve(self):
        sent = self.payload()
        found = answer(self.command, self.path, sent, self.turn() if "/turn/" in self.path else 0)
        wire = found.wire()
        self.send_response(found.status)
        for name, value in found.headers:
            self.send_header(name, value)
        if found.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif found.status not in (204, 304):
            self.send_header("Content-Length", str(len(wire)))
        self.end_headers()
        if self.command == "HEAD" or found.status in (204, 304):
            return
        if not found.chunked:
            self.wfile.write(wire)
            return
        pieces = [part + b"\n\n" for part in wire.split(b"\n\n")[:-1]] if found.paced else [wire[at : at + 1000] for at in range(0, len(wire), 1000)]
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if found.paced:
                self.wfile.flush()
                time.sleep(0.01)
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_HEAD = serve


def listen(tls):
    server = Server(("127.0.0.1", 0), Api)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(CERTS, "origin.pem"), os.path.join(CERTS, "origin-key.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def run(ports):
    """Sends (HTTP_PORT, HTTPS_PORT) through the pipe and serves until its other end is closed."""
    ports.send((listen(False), listen(True)))
    try:
        ports.recv()
    except EOFError:
        pass
