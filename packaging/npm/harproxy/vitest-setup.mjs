// Names each test of a file. `test.concurrent` is not supported: its tests share a process.
import path from 'node:path';

import { afterEach, beforeEach } from 'vitest';

import session from './session.js';

const unique = session.namer();
let running;

beforeEach(async ({ task }) => {
  const file = path.relative(process.cwd(), task.file.filepath).split(path.sep).join('/');
  const titles = [];
  for (let at = task; at && at !== task.file; at = at.suite) titles.unshift(at.name);
  running = unique(`${file} > ${titles.join(' > ')}`, task.result?.retryCount > 0 || task.result?.repeatCount > 0);
  await session.name(running);
});

afterEach(async () => {
  const found = await session.findings(running);
  if (found) process.stderr.write(`harproxy, ${running}:\n${found}\n`);
  await session.name(null);
});
