// Checks reports of real runs, one after the other. The last line counts the checks.
const { mkdirSync } = require('fs');
const path = require('path');
const { launch, sandbox } = require('../browser.d/support');
const { open, open_row } = require('./page');
const requestChecks = require('./request_checks');
const runChecks = require('./run_checks');
const { runs } = require('./runs');

const binary = process.argv[2];
const shots = process.argv[3] === '--shots' ? path.resolve(process.argv[4]) : null;

/** Pictures for people to look at. */
async function pictures(browser, reports) {
  mkdirSync(shots, { recursive: true });
  const take = async (name, report, options, act) => {
    const page = await open(browser, reports[report], options);
    if (act) await act(page);
    await page.waitForTimeout(300);
    await page.screenshot({ path: path.join(shots, `${name}.png`) });
    await page.finish();
  };
  for (const theme of ['light', 'dark']) {
    for (const size of theme === 'light' ? ['desktop', 'laptop', 'tablet', 'phone'] : ['desktop', 'phone']) {
      await take(`red-${theme}-${size}`, 'red', { theme, size });
      await take(`green-${theme}-${size}`, 'green', { theme, size });
      await take(`miss-${theme}-${size}`, 'red', { theme, size }, (page) => open_row(page, 'post /orders miss'));
      await take(`upload-${theme}-${size}`, 'payloads', { theme, size }, (page) => open_row(page, 'post /upload miss'));
      await take(`stream-${theme}-${size}`, 'payloads', { theme, size }, (page) => open_row(page, '/stream'));
      await take(`list-${theme}-${size}`, 'red', { theme, size }, (page) => page.evaluate(() => document.getElementById('requests').scrollIntoView()));
      await take(`flood-${theme}-${size}`, 'flood', { theme, size }, (page) => page.evaluate(() => document.getElementById('requests').scrollIntoView()));
    }
  }
}

(async () => {
  const box = sandbox(binary);
  let passed = 0, failed = 0, browser;
  try {
    const reports = await runs(box);
    browser = await launch();
    for (const [name, body] of Object.entries({ ...runChecks, ...requestChecks })) {
      try {
        await body(browser, reports);
        console.log(`ok      ${name}`);
        passed += 1;
      } catch (error) {
        console.log(`FAILED  ${name}: ${error.message}`);
        failed += 1;
      }
      for (const context of browser.contexts()) await context.close();
    }
    if (shots) await pictures(browser, reports);
  } finally {
    await browser?.close();
    box.remove();
  }
  console.log(`report: ${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
