// The session: a page and its 199 requests, six at a time, in a random order.
//
//     node visit.js proxy [more]                          through HTTP_PROXY
//     node visit.js playwright HAR MODE PORT [more]       recorded by routeFromHAR
const { chromium } = require('playwright-core');

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

function requests(more) {
  const get = (path) => ({ method: 'GET', path });
  const all = [{ method: 'POST', path: '/api/login', body: '{"user":"ada"}' }, get('/api/status'), get('/api/none')];
  for (let n = 0; n < 120; n++) all.push(get(`/api/items/${n}`));
  for (let n = 0; n < 40; n++) all.push(get(`/api/lists/${n}?sort=name`));
  for (let n = 0; n < 12; n++) all.push({ method: 'POST', path: `/api/orders/${n}`, body: JSON.stringify({ item: n }) });
  for (let n = 0; n < 12; n++) all.push(get(`/api/jobs/${n % 4}`));
  for (let n = 0; n < 8; n++) all.push({ method: 'HEAD', path: `/api/items/${n}` });
  for (let n = 0; n < 2; n++) all.push(get(`/api/moved/${n}`));
  if (more) all.push(get('/api/new'));
  // Signs in first. The other requests have no order.
  return [all[0], ...all.slice(1).map((ask) => [Math.random(), ask]).sort((a, b) => a[0] - b[0]).map(([, ask]) => ask)];
}

async function visit(page, more) {
  await page.goto('http://api.test/');
  await page.evaluate(async (asks) => {
    const ask = async ({ method, path, body }) => {
      const headers = body ? { 'content-type': 'application/json' } : {};
      await (await fetch(path, { method, body, headers })).text();
    };
    await ask(asks.shift());
    await Promise.all(Array.from({ length: 6 }, async () => {
      for (let next = asks.shift(); next; next = asks.shift()) await ask(next);
    }));
  }, requests(more));
}

async function main([how, ...rest]) {
  const recorded = how === 'playwright';
  const [har, mode, port] = recorded ? rest.splice(0, 3) : [];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: recorded ? [...FLAGS, `--host-resolver-rules=MAP api.test:80 127.0.0.1:${port}`] : FLAGS,
    proxy: recorded ? undefined : { server: process.env.HTTP_PROXY || process.env.http_proxy },
  });
  const context = await browser.newContext();
  if (recorded) await context.routeFromHAR(har, { update: true, updateContent: 'attach', updateMode: mode });
  await visit(await context.newPage(), rest.includes('more'));
  // The HAR is written when the context is closed.
  await context.close();
  await browser.close();
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
