// `const { test, expect } = require('harproxy/playwright')`: Playwright's `test`, in which each test is a session.
'use strict';

const path = require('path');
const base = require('@playwright/test');
const session = require('./session.js');

const { HARPROXY_RUN_PROXY: run } = process.env;

// A browser sends a user name only if the proxy demands one.
function proxyOf({ parallelIndex, config }) {
  const url = new URL(run);
  const server = `http://${url.host}`;
  if (url.username) {
    const username = `${decodeURIComponent(url.username)}+worker-${parallelIndex}`;
    return { server, username, password: decodeURIComponent(url.password), bypass: '<-loopback>' };
  }
  if (config.workers > 1) {
    throw new Error('harproxy cannot tell parallel browsers apart: add `--auth me:x` to its command, or `--workers=1` to Playwright\'s');
  }
  return { server, bypass: '<-loopback>' };
}

const test = base.test.extend({
  proxy: async ({}, use, info) => use(run ? proxyOf(info) : undefined),
  ignoreHTTPSErrors: async ({ ignoreHTTPSErrors }, use) => use(run ? true : ignoreHTTPSErrors),
  harproxySession: [
    async ({ proxy }, use, info) => {
      const name = [path.relative(info.config.rootDir, info.file).split(path.sep).join('/'), ...info.titlePath.slice(1)].join(' > ');
      const as = proxy?.username || '';
      await session.name(name, as);
      await use(name);
      const found = await session.findings(name);
      if (found) await info.attach('harproxy', { body: found, contentType: 'text/plain' });
      await session.name(null, as);
    },
    { auto: true },
  ],
});

module.exports = { ...base, test };
