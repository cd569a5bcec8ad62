const { items } = require('../cart');

test('reading changes nothing', async () => {
  expect(await items()).toBe(await items());
});
