// The runs whose reports are tested.
const { copyFileSync, writeFileSync } = require('fs');
const http = require('http');
const path = require('path');
const { HOSTILE, png, start } = require('./origin');

const API = 'https://api.shop.example/v2';
const asJson = (value) => ({ method: 'POST', headers: { 'content-type': 'application/json', 'x-tenant': 'north' }, body: JSON.stringify(value) });

const ORDER = { customer: { id: 90017, name: 'Ada Lovelace', address: { city: 'London', zip: 'W1J 7NT' } }, lines: [{ sku: 'LMP-1801', quantity: 2 }, { sku: 'LMP-1804', quantity: 1 }, { sku: 'LMP-1809', quantity: 4 }], currency: 'EUR', gift: false };
const QUERY = { operationName: 'Cart', query: 'query Cart($id: ID!) { viewer { name cart(id: $id) { total lines } } }', variables: { id: 'c-301' } };

const BASE = [
  { url: `${API}/products?page=1&limit=12` }, { url: `${API}/products?page=2&limit=12` }, { url: `${API}/products/1801` }, { url: `${API}/products/1804` },
  { url: `${API}/products/1807` }, { url: `${API}/latest` }, { url: 'https://cdn.shop.example/v2/images/lamp.png' }, { url: 'https://cdn.shop.example/v2/icons/cart.svg' },
  { url: `${API}/orders`, ...asJson(ORDER) }, { url: `${API}/orders/70415` }, { url: `${API}/query`, ...asJson(QUERY) },
  { url: `${API}/token`, method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'grant_type=refresh&scope=orders+profile&audience=shop' },
  { url: `${API}/terms` }, { url: `${API}/bytes` }, { url: `${API}/missing` }, { url: `${API}/broken` }, { url: `${API}/export` },
  { url: `${API}/notes`, method: 'PUT', headers: { 'content-type': 'text/plain' }, body: 'first line\nsecond line\nthird line\nfourth line' },
];

/** The same visit after the program was changed: a miss of every kind. */
const CHANGED = (local) => [
  ...BASE.slice(0, 2), { url: `${API}/products?page=3&limit=12&sort=price` }, ...BASE.slice(2, 8), { url: `${API}/products/1999` },
  { url: `${API}/orders`, ...asJson({ ...ORDER, customer: { ...ORDER.customer, address: { city: 'Bath', zip: 'BA1 1LT' } }, lines: [ORDER.lines[0], { sku: 'LMP-1804', quantity: 3 }, ORDER.lines[2], { sku: 'LMP-1811', quantity: 1 }], voucher: 'SPRING' }) },
  { url: `${API}/orders/70415` }, { url: `${API}/query`, ...asJson({ ...QUERY, variables: { id: 'c-302' } }) },
  { url: `${API}/token`, method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'grant_type=refresh&scope=orders&audience=shop' },
  { url: `${API}/terms` }, { url: `${API}/orders/70415`, method: 'DELETE' }, { url: `${API}/missing` }, { url: `${API}/broken` },
  { url: 'https://telemetry.example.net/v1/events', ...asJson({ event: 'page' }) }, { url: 'https://api.shop.example.org/v2/products/1801' },
  { url: `${API}/notes`, method: 'PUT', headers: { 'content-type': 'text/plain' }, body: 'first line\nsecond thoughts\nthird line\nfourth line\nfifth line' },
  { url: `${API}/products?page=3&limit=12&sort=price` }, { url: `http://127.0.0.1:${local}/healthz` }, { url: 'http://detectportal.firefox.com/success.txt' },
  { url: `${API}/orders`, ...asJson(ORDER) },
];

const HOSTILE_REQUESTS = [
  { url: 'http://h/v1/hostile' }, { url: 'http://h/v1/hostile-html' },
  ...HOSTILE.slice(0, 7).map((text, n) => ({
    url: `http://h/v1/other?${n}=${encodeURIComponent(text).replace(/'/g, '%27')}&raw=javascript:alert(1)//'-x-'`, method: 'POST',
    headers: { 'content-type': 'application/json', 'x-evil': text }, body: JSON.stringify({ [text]: text, all: HOSTILE }),
  })),
  { url: 'http://h/v1/other?plain', method: 'POST', headers: { 'content-type': `text/html; charset="</script>"` }, body: HOSTILE.join('\n') },
  { url: 'http://h/v1/other', method: "X'Y", headers: {} },
];

/** A form with a JSON, a text and a picture, and with a boundary that is never the same. */
function upload(boundary, { note, colour, more = [] }) {
  const part = (head, body) => Buffer.concat([Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n')]);
  const body = Buffer.concat([part('name="about"\r\nContent-Type: application/json', JSON.stringify({ title: 'Lamp', note })), part('name="<i>words</i>"', 'line one\nline two'),
    part('name="photo"; filename="lämp \\"1\\".png"\r\nContent-Type: image/png', png(8, colour)), ...more, Buffer.from(`--${boundary}--\r\n`)]);
  return { url: `${API}/upload`, method: 'POST', headers: { 'content-type': `multipart/form-data; boundary=${boundary}` }, base64: body.toString('base64') };
}

const LOG = (third) => ({ url: `${API}/log`, method: 'PUT', headers: { 'content-type': 'text/event-stream' }, body: `data: {"at":1}\n\ndata: {"at":2}\n\nevent: end\ndata: ${third}\n\n` });

/** Makes the reports in a sandbox and says where they are. */
async function runs(box) {
  const origin = await start();
  const local = http.createServer((_, response) => response.end('well'));
  await new Promise((done) => { local.listen(0, '127.0.0.1', done); });
  copyFileSync(path.join(__dirname, 'client.js'), path.join(box.dir, 'checkout.js'));
  let plans = 0;
  const run = async (command, options, requests, parallel) => {
    const name = `visit-${plans += 1}.json`;
    writeFileSync(path.join(box.dir, name), JSON.stringify({ requests, parallel }));
    const done = await box.run([command, ...options, '--', 'node', 'checkout.js', name]);
    if (done.status > 1) throw new Error(`${command} ${options.join(' ')}: ${done.status}\n${done.stdout}${done.stderr}`);
    return done;
  };
  const at = (name) => path.join(box.dir, name);
  const reports = {};
  const record = (fixture, globs, requests, parallel, ...more) => run('record', ['-o', fixture, ...globs.flatMap((glob) => ['-g', glob]), ...origin.map, ...more], requests, parallel);

  await record('hars/shop.har', ['https://*.shop.example/**'], BASE, 1, '--report', 'recorded.html');
  reports.recorded = at('recorded.html');
  const again = BASE.slice(0, 6).concat({ url: `${API}/products/1822` }, { url: 'https://elsewhere.shop.test/x' });
  await record('hars/again.har', ['https://*.shop.example/**'], BASE.slice(0, 6), 1);
  await record('hars/again.har', ['https://*.shop.example/**'], again, 1, '--report', 'again.html');
  reports.again = at('again.html');

  writeFileSync(at('harproxy.toml'), '[[match]]\nglob = "**/query"\nmatch-header = ["x-tenant"]\n');
  await run('replay', ['hars/shop.har', '--report', 'green.html', '--report', 'green.json'], BASE, 4);
  reports.green = at('green.html');
  const changed = CHANGED(local.address().port);
  changed.find(({ url }) => url.endsWith('/query')).headers = { 'content-type': 'application/json', 'x-tenant': 'south' };
  await run('replay', ['hars/shop.har', '--latency', 'recorded', '--report', 'red.html', '--report', 'red.json'], changed, 3);
  reports.red = at('red.html');
  await run('replay', ['hars/shop.har', '--report', 'empty.html'], [], 1);
  reports.empty = at('empty.html');
  const combined = await box.run(['report', '--combine', 'red.json', 'green.json', '--report', 'combined.html']);
  if (combined.status !== 1) throw new Error(`report --combine: ${combined.status}\n${combined.stderr}`);
  reports.combined = at('combined.html');
  await run('replay', ['hars/shop.har', '--redirects', 'follow', '--report', 'followed.html'], [{ url: `${API}/latest` }], 1);
  reports.followed = at('followed.html');

  const payloads = [{ url: `${API}/catalogue` }, { url: `${API}/stream` }, upload('b0', { note: 'plain', colour: 6 }), LOG('{"at":3}')];
  await record('hars/payloads.har', ['https://*.shop.example/**'], payloads, 1);
  const others = [...payloads.slice(0, 3), upload('c1', { note: 'bright', colour: 7, more: ['--c1\r\nContent-Disposition: form-data; name="extra"\r\n\r\n1\r\n'].map((text) => Buffer.from(text)) }),
    { ...LOG('{"at":4}'), body: `: begin\n\n${LOG('{"at":4}').body}` }];
  await run('replay', ['hars/payloads.har', '--report', 'payloads.html'], others, 1);
  reports.payloads = at('payloads.html');

  await record('hars/hostile.har', ['http://h/**'], HOSTILE_REQUESTS, 1, '--no-redact');
  const shifted = HOSTILE_REQUESTS.map((request) => (request.body ? { ...request, body: request.body.replace('window', 'document') } : request));
  await run('replay', ['hars/hostile.har', '--report', 'hostile.html', '--report', 'hostile.json'], shifted, 1);
  reports.hostile = at('hostile.html');

  const many = Array.from({ length: 400 }, (_, n) => ({ url: `http://h/v1/n/${n}` }));
  await record('hars/many.har', ['http://h/**'], many, 20);
  const flood = Array.from({ length: 10_000 }, (_, n) => ({ url: `http://h/v1/n/${n % 97 === 0 ? 1000 + n : n % 350}` }));
  await run('replay', ['hars/many.har', '--repeat', 'first', '--report', 'flood.html'], flood, 40);
  reports.flood = at('flood.html');
  await run('replay', ['hars/many.har', '--report', 'capped.html'], Array.from({ length: 1005 }, () => ({ url: 'http://h/v1/n/4711' })), 20);
  reports.capped = at('capped.html');

  local.close();
  await origin.stop();
  return reports;
}

module.exports = { runs };
