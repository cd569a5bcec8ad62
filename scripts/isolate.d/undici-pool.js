// name: undici Pool
// needs: apt:node=nodejs npm:undici@6
const { Pool } = require('undici');

(async () => {
  const pool = new Pool(process.env.BASE);
  const { body } = await pool.request({ path: '/orders', method: 'GET' });
  console.log(await body.text());
  await pool.close();
})();
