// Makes each worker of Jest a session of its own: it sees every recorded sequence from its beginning.
const { HARPROXY_RUN_PROXY: proxy, JEST_WORKER_ID: worker } = process.env;

if (proxy && worker) {
  const url = new URL(proxy);
  url.username = url.username ? `${url.username}+worker-${worker}` : `worker-${worker}`;
  url.password ||= 'x';
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) process.env[name] = url.href;
}
