// Checks of the page of a run: its verdict, findings and table of requests, in every size and theme.
const { check } = require('../browser.d/support');
const { accessible, brokenLabels, fits, open, open_row, rows, shown } = require('./page');

module.exports = {
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

  async 'verdict, findings and chip count failures alike'(browser, reports) {
    for (const [name, words, verb, requests] of [['red', '10 requests in 9 findings', 'fail', '10'], ['capped', '1,005 requests in 1 finding', 'fail', '1,005'], ['empty', '1 finding', 'fails', null]]) {
      const page = await open(browser, reports[name]);
      const why = await page.locator('.verdict-why').first().textContent();
      check(why.endsWith(` · ${words}`), `${name}: ${why}`);
      const head = await page.locator('#findings .section-head .muted').textContent();
      check(head.startsWith(`${words} ${verb} the run`), `${name}: ${head}`);
      const chip = page.locator('.chip[data-outcome="failing"]');
      check(await chip.count() === (requests ? 1 : 0), `${name}: the chip`);
      if (requests) check(await chip.locator('.count').textContent() === requests && await chip.getAttribute('title') === words, `${name}: ${await chip.textContent()}`);
      await page.finish();
    }
    const page = await open(browser, reports.green);
    check(await page.locator('.chip[data-outcome="failing"]').count() === 0 && !/finding/.test(await page.locator('.verdict').textContent()), 'a run that passed counts no failures');
    await page.finish();
  },

  async 'the head of the URL column names the only origin, and rows name one of several'(browser, reports) {
    const head = (page) => page.locator('th[data-column="url"]').textContent();
    const single = await open(browser, reports.flood);
    check(await head(single) === 'URL at http://h', await head(single));
    const targets = await single.locator('td.c-url').allTextContents();
    check(targets.length > 10 && targets.every((target) => /^\/v1\/n\/\d+$/.test(target)), targets.join());
    check(await single.locator('td.c-url .url-host').count() === 0, 'no row repeats the origin');
    await open_row(single, '#1');
    check((await single.locator('#details-title').textContent()).includes('http://h/v1/n/'), 'the panel has the whole URL');
    await single.finish();
    const several = await open(browser, reports.red);
    check(await head(several) === 'URL', await head(several));
    const urls = await several.locator('td.c-url').allTextContents();
    check(await several.locator('td.c-url .url-host').count() === urls.length, 'each row has its origin');
    for (const begin of ['api.shop.example/v2/', 'cdn.shop.example/v2/', 'http://127.0.0.1:']) check(urls.some((url) => url.startsWith(begin)), `${begin} in ${urls}`);
    await several.finish();
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

  async 'no label breaks within a word'(browser, reports) {
    for (const size of ['laptop', 'tablet']) {
      for (const [name, fragment] of [['red', ''], ['red', '#r3'], ['red', '#r11'], ['green', '#r9'], ['payloads', '#r1'], ['payloads', '#r2'], ['payloads', '#r4'], ['again', ''], ['flood', ''], ['empty', ''], ['combined', '#r2']]) {
        const page = await open(browser, reports[name], { size, fragment });
        await page.evaluate(() => document.querySelectorAll('details').forEach((fold) => { fold.open = true; }));
        await fits(page, `${name}${fragment}, ${size}`);
        const broken = await brokenLabels(page);
        check(broken.length === 0, `${name}${fragment}, ${size}: ${broken.join()}`);
        await page.finish();
      }
    }
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
    for (const words of ['put /log miss', 'post /upload miss']) {
      const page = await open(browser, reports.payloads, { bypass: true });
      await open_row(page, words);
      await accessible(page, words, '#details');
      await page.context().close();
    }
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
