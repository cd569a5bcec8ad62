// The API of a shop on loopback, in cleartext and over TLS, for the reports. Its responses are always the same.
const { readFileSync } = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');
const { deflateSync, crc32 } = require('zlib');

const CERTS = path.join(__dirname, '..', '..', 'certs');

/** Whatever a page could take for its own. */
const HOSTILE = [
  '</script><script>window.pwned=1</script>', '<!--<script>window.pwned=1//', '<img src=x onerror="window.pwned=1">', '"><svg onload=window.pwned=1>',
  "'-alert(1)-'", 'javascript:window.pwned=1', ']]><style>*{display:none}</style>', '\u202Egnp.exe\u2066', 'a\u0000b', '\u2028\u2029', '{{script}}', '&lt;b&gt;', '${window.pwned=1}',
];

/** A picture of so many pixels: a gradient. */
function png(width, height) {
  const rows = Buffer.concat(Array.from({ length: height }, (_, y) => Buffer.from([0, ...Array.from({ length: width },
    (_, x) => [40 + ((x * 180) / width) | 0, 90 + ((y * 120) / height) | 0, 190 - ((x * 60) / width) | 0]).flat()])));
  const chunk = (type, body) => {
    const typed = Buffer.concat([Buffer.from(type), body]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(body.length);
    sum.writeUInt32BE(crc(typed));
    return Buffer.concat([length, typed, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

function crc(bytes) {
  if (crc32) return crc32(bytes);
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}

const product = (id) => ({
  id, sku: `LMP-${id}`, name: ['Desk lamp', 'Floor lamp', 'Reading light', 'Pendant'][id % 4], price: { amount: 4900 + id * 10, currency: 'EUR' },
  stock: (id * 7) % 40, tags: ['light', id % 2 ? 'oak' : 'steel'], serial: '@@' + id,
});

/** Events in every form: with name and id, a comment, two lines of data, text, and one without its end. */
const STREAM = ['id: 41\nevent: progress\ndata: {"done":3,"of":{"all":9}}\n\n', ': keep-alive\n\n', 'data: first line\ndata: <b>second</b> line\n\n',
  'retry: 500\r\ndata: [DONE]\r\n\r\n', 'event: cut\ndata: {"half":'].join('');

/** JSON with a number that no double holds. */
const exact = (value) => JSON.stringify(value).replace(/"@@(\d+)"/g, '90071992547409931$1');

function answer(request, sent, respond) {
  const url = new URL(request.url, 'http://origin');
  const parts = url.pathname.split('/').filter(Boolean);
  const json = (value, status = 200) => respond(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', etag: '"a1b2"' }, exact(value));
  const last = parts[parts.length - 1];
  switch (`${request.method} ${parts[1] || ''}`) {
    case 'GET products':
      if (parts[2]) return json(product(Number(parts[2])));
      return json({ page: Number(url.searchParams.get('page')), items: Array.from({ length: 12 }, (_, n) => product(1800 + n)), next: null });
    case 'GET catalogue': return json({ count: 1500, items: Array.from({ length: 1500 }, (_, n) => ({ n, title: n === 1437 ? 'Brass <b>needle</b>' : `Item ${n}`, in: { shelf: n % 9 } })) });
    case 'GET stream': return respond(200, { 'content-type': 'text/event-stream' }, STREAM);
    case 'POST orders': return json({ order: 70415, state: 'accepted', ...JSON.parse(sent) }, 201);
    case 'GET orders': return json({ order: Number(last), state: 'shipped', history: ['accepted', 'paid', 'shipped'] });
    case 'POST token': return json({ token_type: 'Bearer', expires_in: 3600 });
    case 'POST query': return json({ data: { viewer: { name: 'Ada', cart: { total: 12900, lines: 3 } } } });
    case 'GET latest': return respond(302, { location: '/v2/products/1807' }, '');
    case 'GET images': return respond(200, { 'content-type': 'image/png', 'cache-control': 'max-age=86400' }, png(240, 150));
    case 'GET icons': return respond(200, { 'content-type': 'image/svg+xml' }, '<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48" onload="window.pwned=1"><script>window.pwned=1</script><circle cx="24" cy="24" r="20" fill="teal"/></svg>');
    case 'GET terms': return respond(200, { 'content-type': 'text/html; charset=utf-8' }, `<!doctype html><title>Terms</title>\n${'<p>All of it as it stands.</p>\n'.repeat(40)}`);
    case 'GET bytes': return respond(200, { 'content-type': 'application/octet-stream' }, Buffer.from(Array.from({ length: 3000 }, (_, n) => (n * 37) % 256)));
    case 'GET export': return respond(200, { 'content-type': 'text/csv' }, 'id,name,amount\n' + Array.from({ length: 40_000 }, (_, n) => `${n},row ${n},${n * 3}\n`).join(''));
    case 'GET hostile': return respond(200, { 'content-type': 'application/json', 'x-evil': HOSTILE.slice(0, 6).join(' ').replace(/[^\x20-\x7e]/g, '') },
      JSON.stringify(Object.fromEntries(HOSTILE.map((text, n) => [`${n} ${text}`, [text, { __proto__x: text }]]))).replace('"a\\u0000b"', '"a\\u0000b\\ud800"'));
    case 'GET hostile-html': return respond(200, { 'content-type': 'text/html' }, HOSTILE.join('\n'));
    case 'GET missing': return json({ error: 'no such thing' }, 404);
    case 'GET broken': return json({ error: 'try later' }, 503);
    case 'GET n': return json({ n: Number(last) });
    default: return json({ got: sent.toString('utf8').slice(0, 200) });
  }
}

/** Starts it; `map` are the options that lead every host of the reports there. */
async function start() {
  const listen = (server) => new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server.address().port)); });
  const handle = (request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => answer(request, Buffer.concat(pieces), (status, headers, body) => {
      const wait = request.url.includes('/n/') ? 0 : 4 + (request.url.length * 13) % 60;
      setTimeout(() => { response.writeHead(status, headers); response.end(body); }, wait);
    }));
  };
  const tls = { key: readFileSync(path.join(CERTS, 'origin-key.pem')), cert: readFileSync(path.join(CERTS, 'origin.pem')) };
  const servers = [http.createServer(handle), https.createServer(tls, handle)];
  const [plain, secure] = [await listen(servers[0]), await listen(servers[1])];
  const map = ['api.shop.example', 'cdn.shop.example', 'h'].flatMap((host) => ['--map', `${host}:80=127.0.0.1:${plain}`, '--map', `${host}:443=127.0.0.1:${secure}`]);
  const stop = () => Promise.all(servers.map((server) => new Promise((done) => { server.close(done); server.closeAllConnections(); })));
  return { map: [...map, '--insecure'], plain, stop };
}

module.exports = { HOSTILE, png, start };
