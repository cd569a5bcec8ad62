// An HTTP/2 origin for scripts/soak, with two kinds of the responses of answers.py. Prints its port, and serves until
// its standard input closes.
const fs = require("node:fs");
const http2 = require("node:http2");
const path = require("node:path");

const certs = path.join(__dirname, "..", "..", "certs");
const server = http2.createSecureServer({
  cert: fs.readFileSync(path.join(certs, "origin.pem")),
  key: fs.readFileSync(path.join(certs, "origin-key.pem")),
});
const numbers = (n) => Array.from({ length: n }, (_, at) => at);

server.on("stream", (stream, headers) => {
  const [, , kind, , name] = headers[":path"].split("/");
  if (kind === "json") {
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.end(JSON.stringify({ path: headers[":path"], user: { id: name.length, name: "Ada" }, list: numbers(20) }));
  } else {
    stream.respond({ ":status": 200, "content-type": "text/plain" });
    for (const n of numbers(1000)) stream.write(`${name} ${n}\n`);
    stream.end();
  }
});
server.on("sessionError", () => {});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
