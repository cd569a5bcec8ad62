// name: node got
// needs: apt:node=nodejs npm:got@14
import { writeFileSync } from 'fs';
import { createRequire } from 'module';
import { pathToFileURL } from 'url';

const { default: got } = await import(pathToFileURL(createRequire(`${process.env.NODE_PATH}/`).resolve('got')));
const { BASE, OUT } = process.env;
const keep = async (name, response) => writeFileSync(`${OUT}/${name}`, (await response).rawBody);

await keep('json', got(`${BASE}/api/json?page=2`));
await keep('gzip', got(`${BASE}/api/gzip`));
await keep('post', got.post(`${BASE}/api/items`, { json: { name: 'Ada' } }));
await keep('redirect', got(`${BASE}/api/redirect`));
await keep('image', got(`${BASE}/api/image.png`));
