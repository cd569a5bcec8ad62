// An API whose responses differ only in volatile values: dates, counters, validators, cookies and tokens.
const { createServer } = require('http');
const { randomBytes } = require('crypto');
const { gzipSync } = require('zlib');

const id = (bytes = 8) => randomBytes(bytes).toString('hex');
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function token() {
  const now = Math.floor(Date.now() / 1000);
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'ada', iat: now, exp: now + 3600 })}.${id(32)}`;
}

const item = (n, world) => ({
  id: n, name: `Item ${n}`, price: n === 42 ? world.price : 100 + n, tags: ['a', 'b', `t${n % 7}`],
  owner: { id: n % 9, name: `Owner ${n % 9}` }, ratio: n / 8, active: n % 3 === 0,
});

function answer(request, url, world) {
  const [, root, kind, name] = url.pathname.split('/');
  if (url.pathname === '/') return { type: 'text/html', body: '<!doctype html><title>Shop</title>\n' };
  if (root !== 'api') return { status: 404, type: 'text/plain', body: 'none' };
  switch (kind) {
    case 'login': return {
      json: { access_token: token(), token_type: 'Bearer', expires_in: 3600 },
      headers: { 'set-cookie': [`sid=${id(16)}; Path=/; HttpOnly; Expires=${new Date(Date.now() + 36e5).toUTCString()}`] },
    };
    case 'status': return { json: { ok: true, generatedAt: new Date().toISOString() } };
    case 'items': return { json: item(Number(name), world) };
    case 'lists': return { json: Array.from({ length: 30 }, (_, at) => item(1000 + 30 * Number(name) + at, world)), gzip: true };
    case 'jobs': return { json: { job: name, state: 'done' } };
    case 'orders': return { status: 201, json: { order: name }, headers: { location: `/api/jobs/${name}` } };
    case 'moved': return { status: 302, headers: { location: `/api/items/${name}` }, type: 'text/plain', body: '' };
    case 'new': return { json: { is: 'new' } };
    default: return { status: 404, json: { error: 'none', path: url.pathname } };
  }
}

/** Listens on any port. `world.price` is what a test changes. */
function startApi(world) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const said = answer(request, new URL(request.url, 'http://api.test'), world);
      const plain = said.json ? JSON.stringify(said.json) : said.body;
      const body = said.gzip ? gzipSync(plain) : plain;
      response.writeHead(said.status || 200, {
        'content-type': said.json ? 'application/json' : said.type,
        ...(said.gzip ? { 'content-encoding': 'gzip' } : {}),
        'content-length': Buffer.byteLength(body),
        'cache-control': 'no-store', etag: `"${id()}"`, 'x-request-id': id(), 'server-timing': `app;dur=${Math.random()}`,
        'x-ratelimit-limit': 5000, 'x-ratelimit-remaining': Math.floor(Math.random() * 5000),
        ...said.headers,
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({
    port: server.address().port,
    stop: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }),
  })));
}

module.exports = { startApi };
