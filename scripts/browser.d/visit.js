// A typical frontend test: a page on localhost calls an API on another host. Only the proxy line is for harproxy.
// Prints the content of the page.
const http = require('http');
const { launch } = require('./support');

const PAGE = `<!doctype html><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,"><script type="module">
const api = 'https://api.test/api';
const seen = {};
const keep = async (name, answer) => { seen[name] = [answer.status, await answer.text()]; };
await keep('json', await fetch(api + '/json?page=2'));
await keep('gzip', await fetch(api + '/gzip'));
await keep('redirect', await fetch(api + '/redirect'));
await keep('post', await fetch(api + '/items', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"Ada"}' }));
await keep('local', await fetch('/local.json'));
const image = new Image();
image.src = api + '/image.png';
await image.decode();
seen.image = [image.naturalWidth, image.naturalHeight];
window.seen = seen;
</script>`;

(async () => {
  const server = http.createServer((request, response) => {
    const json = request.url === '/local.json';
    response.setHeader('content-type', json ? 'application/json' : 'text/html');
    response.end(json ? '{"local":true}' : PAGE);
  });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  const browser = await launch({ proxy: { server: process.env.HARPROXY_RUN_PROXY, bypass: '<-loopback>' } });
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error(String(error)));
    page.on('console', (message) => message.type() === 'error' && console.error(message.text()));
    await page.goto(`http://localhost:${server.address().port}/`);
    await page.waitForFunction(() => window.seen, null, { timeout: 20000 });
    console.log(JSON.stringify(await page.evaluate(() => window.seen)));
  } finally {
    await browser.close();
    server.close();
  }
})().catch((error) => { console.error(error); process.exit(1); });
