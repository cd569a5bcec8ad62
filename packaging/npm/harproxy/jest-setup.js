// Names each test of a file. `test.concurrent` is not supported: its tests share a process.
'use strict';

/* global afterEach, beforeEach, expect */
const path = require('path');
const { findings, name, namer } = require('./session.js');

const unique = namer();
let running;

beforeEach(async () => {
  const { currentTestName, testPath } = expect.getState();
  running = unique(`${path.relative(process.cwd(), testPath).split(path.sep).join('/')} > ${currentTestName}`);
  await name(running);
});

afterEach(async () => {
  const found = await findings(running);
  if (found) process.stderr.write(`harproxy, ${running}:\n${found}\n`);
  await name(null);
});
