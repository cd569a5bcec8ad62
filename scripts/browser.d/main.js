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
