// Opens the origin's page with each recorder, and writes the HAR into a folder of the recorder's name.
const { spawn } = require('child_process');
const fs = require('fs');
const { createServer } = require('net');
const path = require('path');
const { chromium } = require('playwright-core');
const { startOrigin } = require('./origin');

const folder = process.argv[2];
const PAGE = 'http://app.test/';

/** Debian's Chromium, quiet: it makes no request of its own. */
const launch = (...args) => chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', ...args],
});

/** Opens the page and waits until it has done all; what it saw. */
async function visit(context) {
  const page = await context.newPage();
  await page.goto(PAGE);
  await page.waitForFunction(() => window.done);
  return page.evaluate(() => window.done);
}

const fresh = (name) => {
  const dir = path.join(folder, name);
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  return dir;
};

async function playwright(origin, name, file, content) {
  const browser = await launch(`--host-resolver-rules=MAP app.test:80 127.0.0.1:${origin.port}`);
  const context = await browser.newContext({ recordHar: { path: path.join(fresh(name), file), content, mode: 'full' } });
  const seen = await visit(context);
  await context.close();
  await browser.close();
  return seen;
}

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

async function mitmproxy(origin) {
  const [dir, port] = [fresh('mitmproxy'), await freePort()];
  const home = fs.mkdtempSync(path.join(require('os').tmpdir(), 'harproxy-hars-'));
  const options = [`confdir=${home}`, `hardump=${path.join(dir, 'rec.har')}`, 'connection_strategy=lazy'];
  const args = ['--listen-host', '127.0.0.1', '-p', String(port), '-s', path.join(__dirname, 'redirect.py'),
    ...options.flatMap((option) => ['--set', option])];
  const dump = spawn(process.env.MITMDUMP, args, { env: { ...process.env, ORIGIN_PORT: String(origin.port) }, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => { dump.once('exit', resolve); });
  await new Promise((resolve, reject) => {
    dump.once('error', reject);
    dump.stdout.on('data', (data) => { if (/listening/.test(data)) resolve(); });
  });
  const browser = await launch();
  // The proxy belongs to the context, so that Chromium's own requests are not recorded.
  const seen = await visit(await browser.newContext({ proxy: { server: `http://127.0.0.1:${port}` } }));
  await browser.close();
  dump.kill('SIGINT');
  await ended;
  fs.rmSync(home, { recursive: true, force: true });
  return seen;
}

(async () => {
  const origin = await startOrigin();
  const seen = {
    'playwright-attach': await playwright(origin, 'playwright-attach', 'rec.har', 'attach'),
    'playwright-embed': await playwright(origin, 'playwright-embed', 'rec.har', 'embed'),
    'playwright-zip': await playwright(origin, 'playwright-zip', 'rec.zip', 'attach'),
    mitmproxy: await mitmproxy(origin),
  };
  origin.stop();
  for (const [name, done] of Object.entries(seen)) {
    const same = JSON.stringify(done) === JSON.stringify(seen.mitmproxy);
    console.log(`${name}: ${same ? JSON.stringify(done) : `OTHERWISE ${JSON.stringify(done)}`}`);
  }
})();
