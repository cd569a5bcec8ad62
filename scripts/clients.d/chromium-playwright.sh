# needs: apt:node=nodejs apt:npm apt:chromium npm:@playwright/test@1.65
# took: [one line of configuration](docs/getting-started/browser.md)
#
# A typical project: a page from its own server on localhost calls an API on another host. The responses of the server
# under /api/ are recorded, too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PORT=43117 # the same for recording and replay: it is part of a URL that is recorded
case $BASE in https:*) PORT=43118;; esac
ln -s "$TOOLS/node_modules" node_modules
cat > playwright.config.js <<'JS'
module.exports = {
  reporter: 'line',
  use: {
    baseURL: `http://localhost:${process.env.PORT}`,
    launchOptions: { executablePath: process.env.CHROMIUM || '/usr/bin/chromium' },
    proxy: process.env.HARPROXY_RUN_PROXY && { server: process.env.HARPROXY_RUN_PROXY, bypass: '<-loopback>' },
    ignoreHTTPSErrors: !!process.env.HARPROXY_RUN_PROXY,
  },
  webServer: { command: 'node server.js', port: Number(process.env.PORT) },
};
JS
cat > server.js <<'JS'
const page = (base) => `<!doctype html><meta charset="utf-8"><title>shop</title><script type="module">
window.ask = async (path, options) => {
  const answer = await fetch(path.startsWith('/local') ? path.slice(6) : '${base}' + path, options);
  if (!answer.ok) throw new Error(path + ': ' + answer.status + ' ' + await answer.text());
  return [...new Uint8Array(await answer.arrayBuffer())];
};
document.body.append('ready');
</script><body>`;
require('http').createServer((request, response) => {
  const api = request.url.startsWith('/api/');
  response.setHeader('content-type', api ? 'application/json' : 'text/html');
  response.end(api ? JSON.stringify({ asked: request.url }) : page(process.env.BASE));
}).listen(process.env.PORT, 'localhost');
JS
cat > shop.spec.js <<'JS'
const { test, expect } = require('@playwright/test');
const { writeFileSync } = require('fs');

test('the shop', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByText('ready')).toBeVisible();
  const keep = async (name, path, options) => {
    const bytes = await page.evaluate(([path, options]) => window.ask(path, options), [path, options]);
    writeFileSync(`${process.env.OUT}/${name}`, Buffer.from(bytes));
  };
  await keep('json', '/api/json?page=2');
  await keep('gzip', '/api/gzip');
  await keep('post', '/api/items', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"Ada"}' });
  await keep('redirect', '/api/redirect');
  await keep('image', '/api/image.png');
  await keep('local', '/local/api/own');
});
JS
npx playwright test
