// Read once, before the workers start. Under `harproxy record` or `harproxy replay` each worker loads worker-session.js before
// anything else that NODE_OPTIONS names, harproxy's own hook among it.
if (process.env.HARPROXY_RUN_PROXY) {
  const first = JSON.stringify(require.resolve('./worker-session.js'));
  process.env.NODE_OPTIONS = `--require ${first} ${process.env.NODE_OPTIONS || ''}`;
  // Node.js 24.5 and later would have read the shared proxy URL by then; the hook serves them as it does older ones.
  delete process.env.NODE_USE_ENV_PROXY;
}

module.exports = { testEnvironment: 'node', maxWorkers: 4 };
