#!/usr/bin/env node
// Runs the binary of this platform. Standard streams, exit status and signals are those of the binary.
'use strict';

const { spawn } = require('child_process');

const platform = `@harproxy/${process.platform}-${process.arch}`;
let binary;
try {
  binary = require.resolve(`${platform}/harproxy${process.platform === 'win32' ? '.exe' : ''}`);
} catch {
  console.error(`error: the package ${platform} is not installed

hint: run \`npm install\` without \`--omit=optional\`; if there is no such package, build harproxy with \`cargo install\``);
  process.exit(3);
}

const child = spawn(binary, process.argv.slice(2), { stdio: 'inherit' });
// A terminal sends these two to the binary as well, and a second signal ends a run at once.
for (const signal of ['SIGINT', 'SIGHUP']) {
  process.on(signal, () => { if (!process.stdin.isTTY) child.kill(signal); });
}
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.once('error', (error) => {
  console.error(`error: running ${binary}: ${error.message}`);
  process.exit(3);
});
child.once('exit', (status, signal) => {
  if (signal === null) process.exit(status);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
