// needs: apt:node=nodejs
const { writeFileSync } = require('fs');
const { BASE, OUT } = process.env;
const client = require(BASE.split(':')[0]);

function ask(path, options = {}, body) {
  return new Promise((resolve, reject) => {
    const request = client.request(BASE + path, options, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => {
        if (answer.headers.location && answer.statusCode === 302) return resolve(ask(answer.headers.location));
        if (answer.statusCode >= 400) return reject(new Error(`${path}: ${answer.statusCode}`));
        resolve(Buffer.concat(chunks));
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

(async () => {
  writeFileSync(`${OUT}/json`, await ask('/api/json?page=2'));
  writeFileSync(`${OUT}/gzip`, await ask('/api/gzip'));
  writeFileSync(`${OUT}/post`, await ask('/api/items', { method: 'POST', headers: { 'content-type': 'application/json' } }, '{"name":"Ada"}'));
  writeFileSync(`${OUT}/redirect`, await ask('/api/redirect'));
  writeFileSync(`${OUT}/image`, await ask('/api/image.png'));
})();
