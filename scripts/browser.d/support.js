// Shared code of the browser checks: the API on loopback, the binary in a temporary folder, Chromium.
const { spawn } = require('child_process');
const { mkdtempSync, rmSync, writeFileSync } = require('fs');
const { tmpdir } = require('os');
const path = require('path');
const { createInterface } = require('readline');
const { chromium } = require('playwright-core');

const ROOT = path.join(__dirname, '..', '..');

/** Starts scripts/origin.py; `stop()` ends it. */
function startOrigin() {
  const child = spawn('python3', [path.join(ROOT, 'scripts', 'origin.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    createInterface(child.stdout).once('line', (line) => {
      const [http, https] = line.split(' ');
      const stop = () => new Promise((done) => { child.once('exit', done); child.stdin.end(); });
      const map = ['--map', `api.test:80=127.0.0.1:${http}`, '--map', `api.test:443=127.0.0.1:${https}`,
        '--upstream-ca', path.join(ROOT, 'certs', 'ca.pem')];
      resolve({ http, https, map, stop });
    });
  });
}

/** A folder that is removed at the end, with the binary in it. */
function sandbox(binary) {
  const dir = mkdtempSync(path.join(tmpdir(), 'harproxy-browser-'));
  const env = { ...process.env, HOME: dir, XDG_DATA_HOME: path.join(dir, 'data') };
  for (const name of Object.keys(env)) if (/_proxy$/i.test(name)) delete env[name];
  return {
    dir,
    file: (name, text) => { writeFileSync(path.join(dir, name), text); return path.join(dir, name); },
    /** Runs the binary and resolves to {status, stdout, stderr}. */
    run(args, extra = {}) {
      return new Promise((resolve, reject) => {
        const child = spawn(binary, args, { cwd: dir, env: { ...env, ...extra }, stdio: ['ignore', 'pipe', 'pipe'] });
        let stdout = '', stderr = '';
        child.stdout.on('data', (data) => { stdout += data; });
        child.stderr.on('data', (data) => { stderr += data; });
        child.once('error', reject);
        child.once('close', (status) => resolve({ status, stdout, stderr }));
      });
    },
    /** Starts a server of the binary, and resolves to its ready line and `stop()`. */
    start(args) {
      const child = spawn(binary, [...args, '--log-format', 'json'], { cwd: dir, env, stdio: ['ignore', 'pipe', 'ignore'] });
      return new Promise((resolve, reject) => {
        child.once('error', reject);
        createInterface(child.stdout).once('line', (line) => {
          const stop = () => new Promise((done) => { child.once('exit', done); child.kill('SIGINT'); });
          resolve({ ready: JSON.parse(line), stop });
        });
      });
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Debian's Chromium, quiet: it makes no request of its own. */
function launch(options = {}) {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...(options.args || [])];
  return chromium.launch({ executablePath: process.env.CHROMIUM, ...options, args });
}

function check(condition, what) {
  if (!condition) throw new Error(what);
}

module.exports = { ROOT, check, launch, sandbox, startOrigin };
