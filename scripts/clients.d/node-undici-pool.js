// name: undici Pool
// needs: apt:node=nodejs npm:undici@6
// took: `new EnvHttpProxyAgent()` in place of the `Pool`
const { writeFileSync } = require('fs');
const { EnvHttpProxyAgent } = require('undici');

const { BASE, OUT } = process.env;
const dispatcher = new EnvHttpProxyAgent();

async function keep(name, path, options) {
  const { statusCode, body } = await dispatcher.request({ origin: BASE, path, method: 'GET', ...options });
  if (statusCode >= 400) throw new Error(`${name}: ${statusCode}`);
  writeFileSync(`${OUT}/${name}`, Buffer.from(await body.arrayBuffer()));
}

(async () => {
  await keep('json', '/api/json?page=2');
  await keep('gzip', '/api/gzip');
  const headers = { 'content-type': 'application/json' };
  await keep('post', '/api/items', { method: 'POST', headers, body: '{"name":"Ada"}' });
  await keep('image', '/api/image.png');
  await dispatcher.close();
})();
