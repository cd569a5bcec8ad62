// Checks of the panel of one request: its comparison, payloads and commands.
const { check } = require('../browser.d/support');
const { HOSTILE } = require('./origin');
const { open, open_row, rows } = require('./page');

module.exports = {
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
    const price = page.locator('#details .tree summary', { has: page.locator('.key', { hasText: 'price' }) });
    check(!/currency: /.test(await price.innerText()), 'an open value has no preview');
    await price.click();
    check(!(await page.locator('#details .tree .key:visible').allTextContents()).includes('"currency"'), 'a tree folds');
    check(/\{ amount: \d+, currency: "EUR" \}$/.test(await price.innerText()), await price.innerText());
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

  async 'a tree previews what is folded, and opens all of it or nothing'(browser, reports) {
    const page = await open(browser, reports.green);
    await open_row(page, 'products page=1');
    const tree = page.locator('#details .tree');
    const first = (await tree.locator('summary', { hasText: 'sku' }).first().innerText()).replace(/\s+/g, ' ');
    check(first === '{ id: 1800, sku: "LMP-1800", name: "Desk lamp", price: {…}, stock: 0, tags: […], … }', first);
    const folds = () => tree.locator('details').evaluateAll((all) => [all.filter((fold) => fold.open).length, all.length]);
    check((await folds()).join() === '2,14', `at first: ${await folds()}`);
    await page.getByRole('button', { name: 'Expand all' }).click();
    check((await folds()).join() === '38,38', `expanded: ${await folds()}`);
    await page.getByRole('button', { name: 'Collapse all' }).click();
    check((await folds()).join() === '1,38', `collapsed: ${await folds()}`);
    check(/^"items": \(12\) ?\[ \{…\}, /.test((await tree.locator('summary').nth(1).innerText()).replace(/\s+/g, ' ')), await tree.locator('summary').nth(1).innerText());
    await page.finish();
  },

  async 'a search in a tree opens and marks its matches'(browser, reports) {
    const page = await open(browser, reports.payloads);
    await open_row(page, 'catalogue');
    const tree = page.locator('#details .tree');
    const input = page.getByLabel('Search this JSON');
    const status = page.locator('#details .tree-tools [role=status]');
    check(await tree.locator('.kids .kids > *').count() === 0, 'a long list is folded');
    await input.fill('NEEDLE</');
    check((await tree.locator('mark.match').allTextContents()).join() === 'needle</', (await tree.locator('mark.match').allTextContents()).join());
    const found = tree.locator('mark.match');
    const isInView = () => found.evaluate((mark) => { const [box, view] = [mark.getBoundingClientRect(), mark.closest('.payload-body').getBoundingClientRect()]; return box.height > 0 && box.top >= view.top && box.bottom <= view.bottom; });
    check(await isInView(), 'the match is opened and scrolled to');
    check(await status.textContent() === '1 of 1' && await input.evaluate((field) => field === document.activeElement), await status.textContent());
    await input.fill('shelf');
    check(await status.textContent() === '1 of 1,500', await status.textContent());
    const current = () => tree.locator('.current-match').evaluate((row) => row.closest('.kids').parentElement.closest('.kids').innerText.length && [...row.closest('.kids').parentElement.closest('.kids').querySelectorAll('.number')].map((n) => n.textContent)[0]);
    const first = await current();
    await input.press('Enter');
    check(await status.textContent() === '2 of 1,500' && await current() !== first, await status.textContent());
    await input.press('Shift+Enter');
    await input.press('Shift+Enter');
    check(await status.textContent() === '1,500 of 1,500' && await current() === '1499', `${await status.textContent()}: ${await current()}`);
    await input.fill('nothing-like-this');
    check(await status.textContent() === 'no match' && await tree.locator('mark').count() === 0, await status.textContent());
    await input.press('Escape');
    check(await input.inputValue() === '' && await status.textContent() === '' && await page.locator('#details').isVisible(), 'Esc clears the search first');
    await page.getByRole('button', { name: 'Expand all' }).click();
    check(await tree.locator('details:not([open])').count() === 0, 'all that is shown is open');
    await page.finish();
  },

  async 'an event stream is a list of events'(browser, reports) {
    const page = await open(browser, reports.payloads);
    await open_row(page, '/stream');
    const events = page.locator('#details .segment');
    const heads = (await events.locator('.segment-head').allInnerTexts()).map((head) => head.replace(/\s+/g, ' '));
    check(heads.join('|') === '1 progress id 41|2 no data comment keep-alive|3 message|4 message retry 500|5 cut incomplete', heads.join('|'));
    check((await events.nth(0).locator('.tree').innerText()).includes('"all": 9'), 'JSON is a tree');
    check(await events.nth(2).locator('pre').textContent() === 'first line\n<b>second</b> line', 'data of several lines is one text');
    check(await events.nth(3).locator('pre').textContent() === '[DONE]' && await events.nth(1).locator('pre, .tree').count() === 0, 'text, and no data');
    await page.locator('#details .modes button', { hasText: 'Text' }).click();
    check((await page.locator('#details .payload-body pre').textContent()).startsWith('id: 41\nevent: progress'), 'as it came');
    await open_row(page, 'put /log miss');
    const marked = (side) => page.locator(`#details .${side} .segment-head.differs`).allInnerTexts().then((all) => all.map((head) => head.replace(/\s+/g, ' ')).join('|'));
    check(await marked('sent') === '+ 1 no data comment begin|≠ 4 end' && await marked('stored') === '≠ 3 end', `${await marked('sent')} / ${await marked('stored')}`);
    check((await page.locator('#details .sent .tree .differs').allInnerTexts()).join().includes('"at": 4'), 'what differs in the data');
    await page.finish();
  },

  async 'a multipart payload is shown by its parts, on both sides of a comparison'(browser, reports) {
    const page = await open(browser, reports.payloads);
    const heads = (within) => page.locator(`${within} .segment-head`).allInnerTexts().then((all) => all.map((head) => head.replace(/\s+/g, ' ')));
    await open_row(page, 'post /upload served');
    const [about, words, photo, ...more] = await heads('#details');
    check(about === '1 about type application/json 31 B' && words === '2 <i>words</i> type text/plain 17 B' && more.length === 0, `${about} | ${words} | ${more}`);
    check(/^3 photo file lämp "1"\.png type image\/png \d+ B$/.test(photo), photo);
    await page.waitForFunction(() => document.querySelector('#details .segment img')?.naturalWidth === 8);
    check((await page.locator('#details .segment .tree').innerText()).includes('"note": "plain"'), 'JSON is a tree');
    check(await page.locator('#details .segment pre').textContent() === 'line one\nline two', 'text');
    await open_row(page, 'post /upload miss');
    const differs = (side) => page.locator(`#details .${side} .segment-head.differs`).allInnerTexts().then((all) => all.map((head) => head.replace(/\s+/g, ' ').slice(0, 9)).join('|'));
    check(await differs('sent') === '≠ 1 about|≠ 3 photo|+ 4 extra' && await differs('stored') === '≠ 1 about|≠ 3 photo', `${await differs('sent')} / ${await differs('stored')}`);
    check((await page.locator('#details .stored .tree .differs').allInnerTexts()).join().includes('"note": "plain"'), 'what differs in a part');
    check(await page.locator('#details .sides .segment img').count() === 2, 'a picture on each side');
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
};
