const { expect, test } = require('harproxy/playwright');
const { add, items } = require('../cart');

for (const item of ['tea', 'coffee']) {
  test(`adds one item: ${item}`, async ({ page }) => {
    const before = await items(page);
    await add(page, item);
    expect(await items(page)).toBe(before + 1);
  });
}

test('adds two items', async ({ page }) => {
  const before = await items(page);
  await add(page, 'tea');
  await add(page, 'tea');
  expect(await items(page)).toBe(before + 2);
});
