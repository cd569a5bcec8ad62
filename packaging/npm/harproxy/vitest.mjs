// `export default withHarproxy({ … })`: a Vitest configuration in which each test is a session.
import { fileURLToPath } from 'node:url';

import prepareWorkers from './workers.js';

export default function withHarproxy(config = {}) {
  prepareWorkers();
  const setup = fileURLToPath(new URL('./vitest-setup.mjs', import.meta.url));
  const { setupFiles = [], ...test } = config.test || {};
  // A worker that is a thread shares the proxy URL of its process.
  return { ...config, test: { ...test, pool: 'forks', setupFiles: [setupFiles, setup].flat() } };
}
