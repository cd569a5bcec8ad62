// needs: apt:node=nodejs npm:axios
const { writeFileSync } = require('fs');
const https = require('https');
const axios = require('axios');

const { BASE, OUT } = process.env;
const keep = async (name, asked) => writeFileSync(`${OUT}/${name}`, (await asked).data);

(async () => {
  const client = axios.create({ baseURL: BASE, responseType: 'arraybuffer' });
  await keep('json', client.get('/api/json', { params: { page: 2 } }));
  await keep('gzip', client.get('/api/gzip'));
  await keep('post', client.post('/api/items', { name: 'Ada' }));
  await keep('redirect', client.get('/api/redirect'));
  await keep('image', client.get('/api/image.png', { proxy: false, httpsAgent: new https.Agent({ keepAlive: true }) }));
})();
