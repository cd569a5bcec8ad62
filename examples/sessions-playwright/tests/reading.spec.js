const { expect, test } = require('harproxy/playwright');
const { items } = require('../cart');

test('reading changes nothing', async ({ page }) => {
  expect(await items(page)).toBe(await items(page));
});
