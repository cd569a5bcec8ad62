// needs: apt:node=nodejs
import { writeFile } from 'node:fs/promises';

const { BASE, OUT } = process.env;
async function keep(name, path, options) {
  const answer = await fetch(BASE + path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  await writeFile(`${OUT}/${name}`, Buffer.from(await answer.arrayBuffer()));
}
await keep('json', '/api/json?page=2');
await keep('gzip', '/api/gzip');
await keep('post', '/api/items', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"Ada"}' });
await keep('redirect', '/api/redirect');
await keep('image', '/api/image.png');
