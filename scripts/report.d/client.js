// CMD of the runs: requests the URLs in a file, several at a time.
const http = require('http');
const { readFileSync } = require('fs');

const { requests, parallel = 4 } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const proxy = new URL(process.env.HTTP_PROXY || process.env.http_proxy);
const agent = new http.Agent({ keepAlive: true, maxSockets: parallel });

/** As any HTTP/1.1 client would with a proxy: fetch refuses what a hostile one sends. */
function plain({ method = 'GET', url, headers = {}, body }) {
  return new Promise((resolve) => {
    const host = new URL(url).host;
    const request = http.request({ host: proxy.hostname, port: proxy.port, method, path: url, headers: { host, ...headers }, agent }, (answer) => {
      answer.resume();
      answer.on('close', resolve);
    });
    request.on('error', resolve);
    request.end(body);
  });
}

async function secure({ method = 'GET', url, headers = {}, body }) {
  try {
    await (await fetch(url, { method, headers, body, redirect: 'follow' })).arrayBuffer();
  } catch {
    // A refused request may close the connection. The report shows it.
  }
}

(async () => {
  const left = requests.map((request) => (request.base64 ? { ...request, body: Buffer.from(request.base64, 'base64') } : request));
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) await (next.url.startsWith('https:') ? secure(next) : plain(next));
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  agent.destroy();
})();
