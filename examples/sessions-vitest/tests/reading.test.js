import { expect, test } from 'vitest';

import { items } from '../cart.js';

test('reading changes nothing', async () => {
  expect(await items()).toBe(await items());
});
