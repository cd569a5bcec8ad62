// Prepares the workers that this process starts: each becomes a session of its own.
'use strict';

module.exports = function prepareWorkers() {
  if (!process.env.HARPROXY_RUN_PROXY) return;
  // Before anything else that NODE_OPTIONS names, harproxy's own hook among it.
  const first = JSON.stringify(require.resolve('./register.js'));
  const options = process.env.NODE_OPTIONS || '';
  if (!options.includes(first)) process.env.NODE_OPTIONS = `--require ${first} ${options}`;
  // Node.js 24.5 and later would have read the shared proxy URL by then; the hook serves them as it does older ones.
  delete process.env.NODE_USE_ENV_PROXY;
};
