// Loaded first into each worker of a test runner: makes it a session of its own, by the user name in its proxy URL. The
// processes that a worker starts share its session.
'use strict';

const { HARPROXY_RUN_PROXY: run, HTTP_PROXY: current } = process.env;

if (run && current) {
  const [url, own] = [new URL(run), new URL(current)];
  if (own.username === url.username) {
    url.username = url.username ? `${url.username}+process-${process.pid}` : `process-${process.pid}`;
    url.password ||= 'x';
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) process.env[name] = url.href;
  }
}
