// Checks reports of real runs, one after the other. The last line counts the checks.
const { readFileSync, mkdirSync } = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { check, launch, sandbox } = require('../browser.d/support');
const { HOSTILE } = require('./origin');
const { runs } = require('./runs');

const binary = process.argv[2];
const shots = process.argv[3] === '--shots' ? path.resolve(process.argv[4]) : null;
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 360, height: 780 } };

/** Opens a report; whatever it says, asks for or throws is a failure when the page is closed. */
async function open(browser, file, { size = 'desktop', theme = 'light', fragment = '', script = true, bypass = false } = {}) {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: theme, javaScriptEnabled: script, bypassCSP: bypass, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const wrong = [];
  const own = pathToFileURL(file).href;
  await context.route('**', (route) => {
    const url = route.request().url();
    if (url.split('#')[0] === own) return route.continue();
    wrong.push(`asked for ${url}`);
    return route.abort();
  });
  page.on('request', (request) => { const url = request.url(); if (url.split('#')[0] !== own && !url.startsWith('data:')) wrong.push(`asked for ${url}`); });
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) wrong.push(`console: ${message.text()}`); });
  page.on('pageerror', (error) => wrong.push(`threw ${error.message}`));
  page.on('dialog', (dialog) => { wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('popup', () => wrong.push('a popup'));
  await page.goto(own + fragment);
  page.wrong = wrong;
  page.finish = async () => {
    const pwned = script ? await page.evaluate(() => window.pwned) : undefined;
    check(pwned === undefined, 'a payload ran');
    check(wrong.length === 0, wrong.join('\n'));
    await context.close();
  };
  return page;
}

const rows = (page) => page.locator('table.requests tbody tr.row');
const shown = (page) => page.locator('#shown').textContent();

/** No part of the page is wider than the window. */
async function fits(page, what) {
  const wide = await page.evaluate(() => ({ all: document.documentElement.scrollWidth, window: document.documentElement.clientWidth,
    widest: [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.only-heard, .skip, .scroller, .payload-body, #help')).slice(0, 3).map((e) => `${e.tagName}.${e.className}`) }));
  check(wide.all <= wide.window, `${what}: ${wide.all} pixels wide in ${wide.window}: ${wide.widest}`);
}

/** What axe-core finds. The page's own policy lets nothing in: for this the context sets it aside. */
async function accessible(page, what, part = 'html') {
  await page.evaluate(AXE);
  // The content of a fold is created at its event, before the second frame.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const found = await page.evaluate((part) => axe.run(part, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }), part);
  const told = found.violations.map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any.map((any) => any.message).join('; ').slice(0, 200)}`).join(' | ')}`);
  check(told.length === 0, `${what}:\n  ${told.join('\n  ')}`);
}

const open_row = async (page, words) => {
  await page.locator('#search').fill(words);
  // A position outside of the panel.
  await rows(page).first().click({ position: { x: 100, y: 10 } });
  await page.locator('#details').waitFor();
};

const checks = {
  async 'a red run says why, and what would help'(browser, reports) {
    const page = await open(browser, reports.red);
    check(await page.locator('h1').textContent() === 'Replay failed', await page.locator('h1').textContent());
    check(/misses.*out of scope/.test(await page.locator('.verdict-why').first().textContent()), 'why');
    check((await page.title()).startsWith('✗ replay failed'), await page.title());
    const first = page.locator('.finding').first();
    check(await first.evaluate((fold) => fold.open), 'the first finding is open');
    const line = await first.locator('table.diff tbody tr').first().innerText();
    check(/page/.test(line) && /3/.test(line), line);
    check((await first.locator('mark').allTextContents()).length >= 2, 'differences are marked on both sides');
    check((await first.locator('.remedy code').textContent()).includes('--on-miss record'), 'the remedy');
    const kinds = await page.locator('.finding .kind').allTextContents();
    check(kinds.filter((kind) => kind.startsWith('Miss')).length >= 6 && kinds.some((kind) => kind.startsWith('Out of scope')), kinds.join());
    await page.finish();
  },

  async 'a remedy is copied as it is typed'(browser, reports) {
    const page = await open(browser, reports.red);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.locator('.finding .remedy .copy').first().click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    check(copied.includes('harproxy replay') && copied.includes('--on-miss record'), copied);
    await page.finish();
  },

  async 'differences in payloads are marked in both trees, and nothing else is'(browser, reports) {
    const page = await open(browser, reports.red);
    await open_row(page, 'post /orders miss');
    const marked = (side) => page.locator(`#details .${side} .differs`).allInnerTexts().then((texts) => texts.map((text) => text.replace(/\s+/g, ' ').trim()));
    const [sent, stored] = [await marked('sent'), await marked('stored')];
    for (const expected of ['"city": "Bath"', '"quantity": 3', '"voucher": "SPRING"']) check(sent.some((text) => text.includes(expected)), `${expected} in ${sent}`);
    for (const expected of ['"city": "London"', '"quantity": 1']) check(stored.some((text) => text.includes(expected)), `${expected} in ${stored}`);
    check(![...sent, ...stored].some((text) => /Ada|currency|90017/.test(text)), `${sent} / ${stored}`);
    await open_row(page, 'put notes miss');
    check((await marked('sent')).some((text) => text.includes('second thoughts')), 'lines of a text');
    await open_row(page, 'post token miss');
    check((await marked('stored')).some((text) => text.includes('orders profile')), 'fields of a form');
    await open_row(page, 'post query miss');
    const header = await page.locator('#details tr.apart', { hasText: 'x-tenant' }).innerText();
    check(/south\s+north/.test(header), header);
    await open_row(page, 'delete miss');
    check(/DELETE\s+GET/.test(await page.locator('#details tr.apart', { hasText: 'Method' }).innerText()), 'the method');
    await page.finish();
  },

  async 'filter, search and order'(browser, reports) {
    const page = await open(browser, reports.red);
    const all = await rows(page).count();
    await page.locator('.chip[data-outcome="miss"]').click();
    const misses = await rows(page).count();
    check(misses === 8 && await shown(page) === `8 of ${all} requests`, `${misses} ${await shown(page)}`);
    check(await page.locator('.chip[data-outcome="miss"]').getAttribute('aria-pressed') === 'true', 'pressed');
    await page.locator('.chip[data-outcome="local"]').click();
    check(await rows(page).count() === 9, 'two outcomes');
    check(page.url().includes('outcome=miss,local'), page.url());
    await page.locator('#search').fill('put');
    check(await rows(page).count() === 1, 'search within');
    await page.getByRole('button', { name: 'Clear' }).click();
    check(await rows(page).count() === all && await page.locator('#search').inputValue() === '', 'cleared');
    // A number could also occur in the port of the local server.
    for (const [words, some] of [['missing 404', 1], ['missing 403', 0], ['shop.har#7', 1], ['image/png', 1], ['telemetry', 1], ['DELETE 501', 1], ['status:404 missing', 1], ['status:4xx missing', 1], ['status:5xx missing', 0], ['method:DELETE', 1], ['nothing-like-this', 0]]) {
      await page.locator('#search').fill(words);
      check(await rows(page).count() === some, `${words}: ${await rows(page).count()}`);
    }
    check((await page.locator('.none').textContent()).includes('No request is like that'), 'an empty table has a message');
    await page.locator('#search').fill('get -miss -served');
    check((await page.locator('td.c-outcome').allTextContents()).every((word) => !/miss|served/.test(word)), 'words that must not be there');
    await page.locator('#heard', { hasText: /shown/ }).waitFor({ state: 'attached' });
    await page.locator('#search').fill('');
    const column = (name) => page.locator(`td.c-${name}`).allTextContents();
    await page.getByRole('button', { name: 'Method' }).click();
    const methods = await column('method');
    check(methods.join() === [...methods].sort().join() && methods.length === all, methods.join());
    check(await page.locator('th[data-column="method"]').getAttribute('aria-sort') === 'ascending', 'aria-sort');
    await page.getByRole('button', { name: 'Status' }).click();
    await page.getByRole('button', { name: 'Status' }).click();
    const statuses = (await column('status')).map(Number);
    check(statuses.every((status, at) => at === 0 || statuses[at - 1] >= status), statuses.join());
    await page.reload();
    check((await column('status')).map(Number).join() === statuses.join(), 'a reload keeps the order');
    await page.finish();
  },

  async 'a request is copied as a command'(browser, reports) {
    const page = await open(browser, reports.red);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await open_row(page, 'post /orders miss');
    for (const [name, begin] of [['as curl', 'curl -g -X POST '], ['as harproxy explain', 'harproxy explain -X POST ']]) {
      await page.getByRole('button', { name: `Copy ${name}`, exact: true }).click();
      await page.locator('#heard', { hasText: `Copied ${name}` }).waitFor({ state: 'attached' });
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      check(copied.startsWith(begin) && copied.includes('/orders') && copied.includes('"voucher":"SPRING"'), copied);
    }
    await page.finish();
  },

  async 'a request is found again by its link, and the history goes back'(browser, reports) {
    const page = await open(browser, reports.green, { fragment: '#r8' });
    check(await page.locator('#details').isVisible(), 'open at once');
    const title = await page.locator('#details-title').textContent();
    await page.locator('#details').getByRole('button', { name: 'Next request' }).click();
    check(page.url().endsWith('#r9') && await page.locator('#details-title').textContent() !== title, page.url());
    await page.goBack();
    check(await page.locator('#details-title').textContent() === title, 'back');
    await page.locator('#details a', { hasText: 'shop.har#' }).first().click();
    check(/#e0\.\d+$/.test(page.url()), page.url());
    check((await page.locator('.details-about').textContent()).includes('hars/shop.har:'), 'an entry has its location');
    await page.locator('#details a.button').first().click();
    check(await page.locator('#details-title').textContent() === title, 'and which request it answered');
    await page.goto(`${page.url().split('#')[0]}#r4711`);
    check(!await page.locator('#details').isVisible(), 'a missing entry');
    await page.finish();
  },

  async 'the keyboard is enough'(browser, reports) {
    const page = await open(browser, reports.red);
    await page.keyboard.press('/');
    check(await page.evaluate(() => document.activeElement.id) === 'search', 'to the search');
    await page.keyboard.type('miss');
    await page.keyboard.press('ArrowDown');
    const focused = () => page.evaluate(() => document.activeElement.closest('tr')?.dataset.key);
    const first = await focused();
    check(first?.startsWith('r'), `from the search to the rows: ${first}`);
    await page.keyboard.press('j');
    const second = await focused();
    check(second && second !== first, 'to the next row');
    await page.keyboard.press('ArrowUp');
    check(await focused() === first, 'and back');
    await page.keyboard.press('Enter');
    check(await page.locator('#details').isVisible() && page.url().includes(`#${first}`), 'Enter opens');
    check(await page.evaluate(() => document.activeElement.id) === 'details', 'with the focus');
    await page.keyboard.press('j');
    check(page.url().includes(`#${second}`), `to the next: ${page.url()}`);
    await page.keyboard.press('Escape');
    check(!await page.locator('#details').isVisible() && await focused() === second, 'Esc closes, and the focus is on the row');
    await page.keyboard.press('?');
    check(await page.locator('#help').isVisible(), 'help');
    await page.keyboard.press('Escape');
    await page.keyboard.press('/');
    await page.keyboard.press('Escape');
    check(await page.locator('#search').inputValue() === '', 'Esc clears the search');
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('f');
    check((await shown(page)).startsWith('10 of'), await shown(page));
    await page.reload();
    await page.keyboard.press('Tab');
    check(await page.evaluate(() => document.activeElement.className) === 'skip', 'the first stop skips to the requests');
    await page.finish();
  },

  async 'what was served is shown as what it is'(browser, reports) {
    const page = await open(browser, reports.green);
    await open_row(page, 'lamp.png');
    await page.waitForFunction(() => document.querySelector('#details img')?.naturalWidth === 240);
    await open_row(page, 'cart.svg');
    await page.waitForFunction(() => document.querySelector('#details img')?.naturalWidth === 48);
    await open_row(page, '/bytes');
    check((await page.locator('#details pre').textContent()).startsWith('000000  00 25 4a'), 'bytes');
    await open_row(page, '/export');
    check((await page.locator('.payload-note.cut').textContent()).startsWith('Cut: the first 262 kB of'), 'a cut payload has a note');
    await open_row(page, '/products/1801');
    check((await page.locator('#details .tree .number').allTextContents()).includes('900719925474099311801'), 'all digits of a number');
    await page.locator('#details .tree summary', { hasText: 'price' }).click();
    check(!(await page.locator('#details .tree').innerText()).includes('currency'), 'a tree folds');
    await page.locator('#details .modes button', { hasText: 'Text' }).click();
    check((await page.locator('#details .payload-body pre').textContent()).includes('"sku"'), 'as text');
    await open_row(page, '/v2/latest');
    check((await page.locator('#details').innerText()).includes('location'), 'a redirect has its headers');
    await open_row(page, 'post /token');
    check((await page.locator('#details .side').first().innerText()).includes('orders profile'), 'fields of a form');
    await page.finish();
    const followed = await open(browser, reports.followed, { fragment: '#r1' });
    check(/#5 → #\d+.*1 redirect followed/.test(await followed.locator('.details-about').textContent()), await followed.locator('.details-about').textContent());
    check((await followed.locator('#details .tree').innerText()).includes('1807'), 'the answer is the last entry’s');
    await followed.finish();
  },

  async 'a recording says what each exchange became'(browser, reports) {
    const page = await open(browser, reports.again);
    check(/^Recorded 8 exchanges/.test(await page.locator('h1').textContent()), await page.locator('h1').textContent());
    await page.locator('#search').fill('1822');
    check(/again\.har#\d+new/.test(await page.locator('td.c-entry').textContent()), await page.locator('td.c-entry').textContent());
    await page.locator('#search').fill('unchanged');
    check(await rows(page).count() === 7, String(await rows(page).count()));
    await rows(page).first().click();
    check((await page.locator('#details').innerText()).includes('"items"'), 'with its payload, from the fixture');
    await page.finish();
  },

  async 'a report of several runs says which'(browser, reports) {
    const page = await open(browser, reports.combined);
    check(/red\.json\s*failed.*green\.json\s*passed/s.test(await page.locator('.shards').innerText()), await page.locator('.shards').innerText());
    await open_row(page, 'miss post /orders');
    const told = await page.locator('#details').innerText();
    check(told.includes('red.json') && told.includes('a combined one has none') && told.includes('$.voucher'), told);
    await page.finish();
  },

  async 'a run without requests says so'(browser, reports) {
    const page = await open(browser, reports.empty);
    check((await page.locator('.none').textContent()).includes('No request came'), 'the table');
    check((await page.locator('.kind').first().textContent()).startsWith('No traffic'), 'the finding');
    await page.locator('.fixture summary').click();
    await page.locator('.fixture .entry a').first().click();
    check(await page.locator('#details').isVisible(), 'unused entries can be opened');
    await page.finish();
  },

  async 'hostile text stays text'(browser, reports) {
    const page = await open(browser, reports.hostile);
    const keys = await page.evaluate(() => JSON.parse(document.getElementById('data').textContent).requests.map((request) => `r${request.id}`));
    for (const key of keys) {
      await page.evaluate((to) => { location.hash = to; }, key);
      await page.waitForFunction((to) => document.querySelector(`tr[data-key="${to}"].current`), key);
      await page.evaluate(() => document.querySelectorAll('details').forEach((fold) => { fold.open = true; }));
      for (const button of await page.locator('#details .modes button').all()) await button.click();
    }
    await page.evaluate(() => { location.hash = 'r1'; });
    await page.locator('#details-title', { hasText: /hostile$/ }).waitFor();
    await page.locator('#details .modes button', { hasText: 'Text' }).click();
    const seen = JSON.parse(await page.locator('#details .payload-body pre').textContent());
    HOSTILE.forEach((text, n) => check(JSON.stringify(seen).includes(JSON.stringify(text).slice(1, -1)) && `${n} ${text}` in seen, `${text} is not as it came`));
    await page.evaluate(() => { location.hash = 'r2'; });
    await page.locator('#details-title', { hasText: 'hostile-html' }).waitFor();
    const html = await page.locator('#details .payload-body pre').textContent();
    check(html === HOSTILE.join('\n'), JSON.stringify(html));
    check(await page.locator('#details .control[data-code="U+202E"]').count() > 0, 'bidirectional controls are named');
    const strange = await page.evaluate(() => [...document.querySelectorAll('img:not(#details .payload-body img), iframe, object, embed, base, [onerror], [onload], a[href]:not([href^="#"])')].map((element) => element.outerHTML.slice(0, 100)));
    check(strange.length === 0, strange.join());
    check(await page.evaluate(() => document.querySelectorAll('script').length) === 2, 'no other script');
    check((await page.locator('table.requests td.c-url').allInnerTexts()).some((text) => text.includes('javascript:')), 'URLs are shown');
    await page.finish();
  },

  async 'ten thousand requests are a few rows at a time'(browser, reports) {
    const page = await open(browser, reports.flood);
    const bounded = async (what) => {
      const there = await rows(page).count();
      check(there > 10 && there < 120, `${what}: ${there} rows`);
    };
    await bounded('at first');
    check(await shown(page) === '10,000 requests', await shown(page));
    check(await page.locator('table.requests').getAttribute('aria-rowcount') === '10001', 'aria-rowcount');
    const tall = await page.evaluate(() => document.querySelector('.scroller').scrollHeight);
    check(tall > 10_000 * 34, `${tall} pixels`);
    await page.evaluate(() => { const box = document.querySelector('.scroller'); box.scrollTop = box.scrollHeight; });
    await page.locator('td.c-id', { hasText: /^10000$/ }).waitFor();
    await bounded('at the end');
    await page.locator('#search').fill('miss');
    check(/^104 of/.test(await shown(page)), await shown(page));
    await page.locator('#search').fill('#9999');
    await rows(page).first().click();
    check(await page.locator('#details').isVisible() && page.url().includes('#r9999'), page.url());
    await page.locator('#search').fill('');
    await page.keyboard.press('Escape');
    await page.evaluate(() => { document.querySelector('.scroller').scrollTop = 0; });
    await page.locator('tr[data-key="r1"] a').focus();
    await page.keyboard.press('End');
    await page.waitForFunction(() => document.activeElement.closest('tr')?.getAttribute('aria-rowindex') === '10001');
    await bounded('by keyboard');
    check(await page.locator('.finding').count() < 40, 'findings are rendered in parts, too');
    check(await page.evaluate(() => document.querySelectorAll('*').length) < 6000, 'the document stays small');
    const box = await page.locator('.timeline canvas').boundingBox();
    await page.mouse.move(box.x + box.width / 4, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + 30);
    await page.mouse.up();
    check(/ of 10,000 requests, /.test(await shown(page)), `a part of the timeline: ${await shown(page)}`);
    await page.finish();
  },

  async 'a phone shows all of it'(browser, reports) {
    for (const [name, fragment] of [['red', ''], ['red', '#r3'], ['green', '#r9'], ['hostile', '#r3'], ['again', ''], ['empty', ''], ['combined', '#r2'], ['flood', '#r1']]) {
      const page = await open(browser, reports[name], { size: 'phone', fragment });
      await page.evaluate(() => document.querySelectorAll('details').forEach((fold) => { fold.open = true; }));
      await fits(page, `${name}${fragment}`);
      check(name === 'empty' || await rows(page).count() > 0, 'rows');
      await page.finish();
    }
    const page = await open(browser, reports.red, { size: 'phone' });
    await rows(page).nth(2).click();
    check((await page.locator('#details').boundingBox()).width === 360, 'details take the screen');
    await page.finish();
  },

  async 'light and dark, by the system and by choice'(browser, reports) {
    const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await open(browser, reports.red);
    const dark = await open(browser, reports.red, { theme: 'dark' });
    const [bright, deep] = [await ground(light), await ground(dark)];
    check(bright !== deep, `${bright} ${deep}`);
    const button = light.locator('#theme');
    await button.click();
    await button.click();
    check(await ground(light) === deep && /dark/.test(await button.getAttribute('aria-label')), 'dark by choice');
    await light.reload();
    check(await ground(light) === deep, 'the choice is kept');
    await light.finish();
    await dark.finish();
  },

  async 'everybody can use it (axe-core)'(browser, reports) {
    for (const [name, options] of [['red', {}], ['red', { theme: 'dark' }], ['red', { size: 'phone' }], ['green', {}], ['empty', { theme: 'dark' }], ['again', {}]]) {
      const page = await open(browser, reports[name], { ...options, bypass: true });
      await page.evaluate(() => document.querySelectorAll('details').forEach((fold) => { fold.open = true; }));
      await accessible(page, `${name} ${JSON.stringify(options)}`);
      await page.context().close();
    }
    // Concurrent requests are numbered in any order, so all of them are checked.
    const every = await open(browser, reports.green, { bypass: true });
    for (let at = 1; at <= await rows(every).count(); at += 1) {
      await every.evaluate((key) => { location.hash = key; }, `#r${at}`);
      await every.locator('#details').waitFor();
      await every.evaluate(() => document.querySelectorAll('#details details').forEach((fold) => { fold.open = true; }));
      await accessible(every, `green #r${at}`, '#details');
    }
    await every.context().close();
    for (const theme of ['light', 'dark']) {
      const page = await open(browser, reports.red, { theme, bypass: true });
      await open_row(page, 'post /orders miss');
      await accessible(page, `a miss, ${theme}`);
      await page.keyboard.press('Escape');
      await page.evaluate(() => document.activeElement.blur());
      await page.keyboard.press('?');
      await accessible(page, `help, ${theme}`);
      await page.context().close();
    }
  },

  async 'without scripts there is the summary, and on paper all of it'(browser, reports) {
    const plain = await open(browser, reports.red, { script: false });
    check((await plain.locator('noscript').innerText()).includes('replay failed'), 'the summary');
    await plain.finish();
    const page = await open(browser, reports.red);
    await page.emulateMedia({ media: 'print' });
    check(!await page.locator('#search').isVisible() && await rows(page).count() > 20, 'printed');
    await page.finish();
  },
};

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
    for (const size of ['desktop', 'phone']) {
      await take(`red-${theme}-${size}`, 'red', { theme, size });
      await take(`green-${theme}-${size}`, 'green', { theme, size });
      await take(`miss-${theme}-${size}`, 'red', { theme, size }, (page) => open_row(page, 'post /orders miss'));
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
    for (const [name, body] of Object.entries(checks)) {
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
