// The cart of an API with a state, in a page: each POST adds an item.
const API = 'https://api.example.com';

async function items(page) {
  await page.goto(`${API}/cart`);
  return JSON.parse(await page.locator('body').innerText()).items;
}

async function add(page, item) {
  await page.evaluate((body) => fetch('/cart', { method: 'POST', headers: { 'content-type': 'application/json' }, body }),
    JSON.stringify({ item }));
}

module.exports = { add, items };
