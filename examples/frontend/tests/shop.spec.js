const { expect, test } = require('@playwright/test');

test('greets the user and takes an order', async ({ page }) => {
  await page.goto('/');
  await expect(page.locator('#name')).toHaveText('Ada');
  await page.getByRole('button').click();
  await expect(page.locator('#order')).toHaveText('tea');
});
