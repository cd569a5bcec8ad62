// A client of an API with a state: each POST adds an item to the cart.
const API = 'https://api.example.com';

export async function items() {
  return (await (await fetch(`${API}/cart`)).json()).items;
}

export async function add(item) {
  await fetch(`${API}/cart`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ item }) });
}
