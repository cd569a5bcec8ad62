// needs: apt:node=nodejs npm:undici@6
// took: none (a Dispatcher of the program needs a line)
const { writeFileSync } = require('fs');
const { request, fetch } = require('undici');

const { BASE, OUT } = process.env;

async function keep(name, { statusCode, body }) {
  if (statusCode >= 400) throw new Error(`${name}: ${statusCode}`);
  writeFileSync(`${OUT}/${name}`, Buffer.from(await body.arrayBuffer()));
}

(async () => {
  await keep('json', await request(`${BASE}/api/json?page=2`));
  await keep('gzip', await request(`${BASE}/api/gzip`));
  const headers = { 'content-type': 'application/json' };
  await keep('post', await request(`${BASE}/api/items`, { method: 'POST', headers, body: '{"name":"Ada"}' }));
  writeFileSync(`${OUT}/redirect`, Buffer.from(await (await fetch(`${BASE}/api/redirect`)).arrayBuffer()));
  await keep('image', await request(`${BASE}/api/image.png`));
})();
