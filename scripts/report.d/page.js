// Opens a report in the browser, and looks at the page.
const { readFileSync } = require('fs');
const { pathToFileURL } = require('url');
const { check } = require('../browser.d/support');

const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const SIZES = { desktop: { width: 1440, height: 900 }, laptop: { width: 1366, height: 768 }, tablet: { width: 820, height: 1180 }, phone: { width: 360, height: 780 } };

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

/** Words of labels that stand on two lines. Names and values of the run may break anywhere. */
const brokenLabels = (page) => page.evaluate(() => {
  const LABELS = 'button, legend, caption, .requests th, .shards th, .diff thead th, .diff .group th, .diff .part, h1, h2:not(#details-title), h3, .fact dt, .fact dd, dialog dt, summary b, .panel-head b, .panel-head .muted, .kind, .badge, .tag, .times, .count, .place-in, .details-about > span, .section-head .muted, .legend span, .event-name, .segment-head b';
  const broken = [];
  for (const label of document.querySelectorAll(LABELS)) {
    const walker = document.createTreeWalker(label, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.parentElement.closest('.only-heard, code, .mono, a')) continue;
      for (const { 0: word, index } of node.data.matchAll(/[\p{L}\p{N}]+/gu)) {
        const range = document.createRange();
        range.setStart(node, index);
        range.setEnd(node, index + word.length);
        const lines = new Set([...range.getClientRects()].filter(({ width }) => width > 0).map(({ top }) => Math.round(top)));
        if (lines.size > 1) broken.push(`${word} in "${label.textContent.slice(0, 60)}"`);
      }
    }
  }
  return broken;
});

const open_row = async (page, words) => {
  await page.locator('#search').fill(words);
  // A position outside of the panel.
  await rows(page).first().click({ position: { x: 100, y: 10 } });
  await page.locator('#details').waitFor();
};

module.exports = { accessible, brokenLabels, fits, open, open_row, rows, shown };
