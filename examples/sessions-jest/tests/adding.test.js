const { add, items } = require('../cart');

describe('adding', () => {
  test.each(['tea', 'coffee'])('one item: %s', async (item) => {
    const before = await items();
    await add(item);
    expect(await items()).toBe(before + 1);
  });

  test('two items', async () => {
    const before = await items();
    await add('tea');
    await add('tea');
    expect(await items()).toBe(before + 2);
  });
});
