// Runs the checks one after the other. The last line counts them.
const { readFileSync } = require('fs');
const path = require('path');
const validator = require('har-validator');
const { ROOT, check, launch, sandbox, startOrigin } = require('./support');

const binary = process.argv[2];
const FORMS = [['hars/api.har'], ['hars/embedded.har', '--content', 'embed'], ['hars/api.zip']];

/** Records curl's visit of the API into each form of a fixture. */
async function recordForms(box) {
  const origin = await startOrigin();
  const visit = ['bash', path.join(ROOT, 'scripts', 'clients.d', 'curl.sh')];
  const live = path.join(box.dir, 'live');
  require('fs').mkdirSync(live);
  for (const [output, ...options] of FORMS) {
    const done = await box.run(['record', '-o', output, '--glob', '**/api/**', ...options, ...origin.map, '--', ...visit],
      { BASE: 'https://api.test', OUT: live });
    check(done.status === 0, `record ${output}: ${done.status}\n${done.stderr}`);
  }
  await origin.stop();
  return live;
}

const checks = {
  /** A HAR of ours is valid HAR 1.2 by npm's har-validator. */
  async 'har-validator accepts what record writes'(box) {
    await recordForms(box);
    for (const name of ['hars/api.har', 'hars/embedded.har']) {
      const har = JSON.parse(readFileSync(path.join(box.dir, name)));
      check(har.log.entries.length === 6, `${name} has ${har.log.entries.length} entries`);
      try {
        await validator.har(har);
      } catch (error) {
        throw new Error(`${name}: ${JSON.stringify(error.errors)}`);
      }
    }
  },

  /** Playwright's own routeFromHAR replays a fixture of ours in Chromium, from each form, with the origin stopped. */
  async 'routeFromHAR replays what record writes'(box) {
    const live = await recordForms(box);
    const browser = await launch();
    try {
      for (const [name] of FORMS) {
        const page = await (await browser.newContext()).newPage();
        await page.routeFromHAR(path.join(box.dir, name), { notFound: 'abort' });
        for (const [file, url] of [['json', '/api/json?page=2'], ['gzip', '/api/gzip'], ['image', '/api/image.png']]) {
          const answer = await page.goto(`https://api.test${url}`);
          const [got, want] = [await answer.body(), readFileSync(path.join(live, file))];
          const same = file === 'image' ? got.equals(want) : JSON.stringify(JSON.parse(got)) === JSON.stringify(JSON.parse(want));
          check(answer.status() === 200 && same, `${name}: ${url}: ${answer.status()} ${got.length} of ${want.length} bytes`);
        }
        await page.close();
      }
    } finally {
      await browser.close();
    }
  },

  /** A page on localhost, outside the scope, whose API calls are inside it: replay needs no option. */
  async 'a frontend test records and replays'(box) {
    const visit = ['node', path.join(__dirname, 'visit.js')];
    const origin = await startOrigin();
    const recorded = await box.run(['record', '--glob', 'https://api.test/**', ...origin.map, '--', ...visit]);
    check(recorded.status === 0, `record: ${recorded.status}\n${recorded.stdout}${recorded.stderr}`);
    await origin.stop();
    const replayed = await box.run(['replay', '--', ...visit]);
    check(replayed.status === 0, `replay: ${replayed.status}\n${replayed.stdout}${replayed.stderr}`);
    check(replayed.stdout === recorded.stdout, `live ${recorded.stdout}replay ${replayed.stdout}`);
    check(JSON.parse(replayed.stdout).local[1] === '{"local":true}', replayed.stdout);
  },

  /** A page on another origin uses the mock server by its base URL: preflights, rules, a key, the source of an answer. */
  async 'a page on another origin reads every answer of serve'(box) {
    const request = { method: 'GET', url: 'https://api.test/orders', httpVersion: 'HTTP/1.1', headers: [], queryString: [], cookies: [], headersSize: -1, bodySize: 0 };
    const content = { size: 12, mimeType: 'application/json', text: '[{"id": 1}]\n' };
    const response = { status: 200, statusText: 'OK', httpVersion: 'HTTP/1.1', headers: [{ name: 'content-type', value: 'application/json' }, { name: 'x-total', value: '1' }], cookies: [], content, redirectURL: '', headersSize: -1, bodySize: 12 };
    const entries = [{ startedDateTime: '2026-11-01T10:00:00.000Z', time: 1, request, response, cache: {}, timings: { send: 0, wait: 1, receive: 0 } }];
    const creator = { name: 'harproxy', version: '0.1.0' };
    require('fs').mkdirSync(path.join(box.dir, 'hars'));
    box.file('hars/api.har', JSON.stringify({ log: { version: '1.2', creator, _harproxy: { version: 2, scope: ['https://api.test/**'] }, entries } }));
    box.file('harproxy.toml', "[[route]]\nmatch = 'https://api.test/orders**'\nstate = { id = '$.id', path = '/orders/{id}' }\n"
      + "[[route]]\nmatch = 'https://api.test/busy'\nfault = { kind = 'status', status = 503, retry-after = '1s' }\n");
    const { ready, stop } = await box.start(['serve', '-p', '0', '--reverse', 'API=https://api.test', '--api-key', 'k3y']);
    const pages = require('http').createServer((_, reply) => reply.setHeader('content-type', 'text/html').end('<title>page</title>'));
    await new Promise((listening) => pages.listen(0, '127.0.0.1', listening));
    const browser = await launch();
    try {
      const page = await (await browser.newContext()).newPage();
      await page.goto(`http://localhost:${pages.address().port}/`);
      const seen = await page.evaluate(async (base) => {
        const ask = async (url, options) => {
          try {
            const answer = await fetch(base + url, options);
            return [answer.status, answer.headers.get('x-harproxy'), answer.headers.get('x-total'), answer.headers.get('retry-after'), (await answer.text()).trim()];
          } catch (error) {
            return [String(error)];
          }
        };
        const key = { 'x-api-key': 'k3y' }, json = { ...key, 'content-type': 'application/json' };
        return {
          list: await ask('/orders', { headers: key }),
          added: await ask('/orders', { method: 'POST', headers: json, body: '{"item":"tea"}' }),
          changed: await ask('/orders/2', { method: 'PUT', headers: json, body: '{"item":"cake"}', credentials: 'include' }),
          removed: await ask('/orders/2', { method: 'DELETE', headers: key }),
          gone: await ask('/orders/2', { headers: key }),
          busy: await ask('/busy', { headers: key }),
          miss: await ask('/none', { headers: key }),
          locked: await ask('/orders'),
          chosen: await ask('/orders', { headers: { ...key, 'x-mock-response-code': '404' } }),
        };
      }, ready.urls.API);
      const statuses = Object.fromEntries(Object.entries(seen).map(([name, [status]]) => [name, status]));
      const wanted = { list: 200, added: 201, changed: 200, removed: 204, gone: 404, busy: 503, miss: 404, locked: 401, chosen: 404 };
      check(JSON.stringify(statuses) === JSON.stringify(wanted), JSON.stringify(seen));
      check(seen.changed[4] === '{"id":2,"item":"cake"}' && seen.list[1] === 'rule; id=1', JSON.stringify(seen));
      check(seen.busy[3] === '1' && seen.miss[1] === 'miss', `the page may read all headers: ${JSON.stringify(seen)}`);
    } finally {
      await browser.close();
      pages.close();
      await stop();
    }
  },
};

(async () => {
  let passed = 0, failed = 0;
  for (const [name, body] of Object.entries(checks)) {
    const box = sandbox(binary);
    try {
      await body(box);
      passed += 1;
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}: ${error.message}`);
    } finally {
      box.remove();
    }
  }
  console.log(`browser: ${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
})();
