// Records the session with each tool, commits the result, records it again, and counts the changes in git.
const { spawnSync, spawn } = require('child_process');
const { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('fs');
const { tmpdir } = require('os');
const path = require('path');
const { startApi } = require('./api');

const binary = process.argv[2];
const VISIT = path.join(__dirname, 'visit.js');
const WIDTH = 28;
const GIT = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };

function git(repo, ...args) {
  const done = spawnSync('git', ['-c', 'user.name=quiet', '-c', 'user.email=quiet@example.invalid', ...args],
    { cwd: repo, env: { ...process.env, ...GIT }, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`git ${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

function run(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const out of [child.stdout, child.stderr]) out.on('data', (data) => { said += data; });
    child.once('error', reject);
    child.once('close', (status) => (status === 0 ? resolve(said) : reject(new Error(`${command}: ${status}\n${said}`))));
  });
}

const playwright = (mode) => (repo, port, more) =>
  run('node', [VISIT, 'playwright', path.join(repo, 'hars', 'api.har'), mode, port, ...more]);

const TOOLS = {
  harproxy: (repo, port, more) => run(binary,
    ['record', '-o', 'hars/api.har', '-g', 'http://api.test/**', '--map', `api.test:80=127.0.0.1:${port}`,
      '--', 'node', VISIT, 'proxy', ...more],
    { cwd: repo, env: { ...process.env, HOME: repo, XDG_DATA_HOME: path.join(repo, '.data') } }),
  'Playwright, full': playwright('full'),
  'Playwright, minimal': playwright('minimal'),
};

const SCENES = {
  'nothing changed': { price: 100, more: [] },
  'one field changed': { price: 101, more: [] },
  'one endpoint more': { price: 100, more: ['more'] },
};

/** Files, lines and bytes of the diff: new files included, a renamed one is one. */
function count(repo) {
  git(repo, 'add', '-A', 'hars');
  const diff = ['diff', '--cached', '--minimal', '-M'];
  const files = git(repo, ...diff, '--numstat').split('\n').filter(Boolean).map((line) => line.split('\t'));
  const sum = (column) => files.reduce((total, file) => total + (Number(file[column]) || 0), 0);
  // Some tools write a HAR in one line.
  const bytes = Buffer.byteLength(git(repo, ...diff, '-U0'));
  return { files: files.length, added: sum(0), removed: sum(1), bytes };
}

async function recorded(tool, repo, { price, more }) {
  const api = await startApi({ price });
  try {
    await TOOLS[tool](repo, String(api.port), more);
  } finally {
    await api.stop();
  }
}

async function measure(tool) {
  const repo = mkdtempSync(path.join(tmpdir(), 'harproxy-quiet-'));
  try {
    mkdirSync(path.join(repo, 'hars'));
    writeFileSync(path.join(repo, '.gitignore'), '/*\n!/hars\n');
    writeFileSync(path.join(repo, 'harproxy.toml'), '[volatile]\njson = ["$.generatedAt"]\n');
    git(repo, 'init', '-q');
    await recorded(tool, repo, SCENES['nothing changed']);
    git(repo, 'add', 'hars');
    git(repo, 'commit', '-q', '-m', 'recorded');
    const har = JSON.parse(readFileSync(path.join(repo, 'hars', 'api.har')));
    const counts = [];
    for (const scene of Object.values(SCENES)) {
      git(repo, 'reset', '-q', '--hard');
      git(repo, 'clean', '-q', '-fd', 'hars');
      await recorded(tool, repo, scene);
      counts.push(count(repo));
    }
    return { entries: har.log.entries.length, counts };
  } finally {
    rmSync(repo, { recursive: true, force: true });
  }
}

async function main() {
  const size = (bytes) => (bytes < 10240 ? `${bytes} B` : `${Math.round(bytes / 1024)} KiB`);
  const cell = ({ files, added, removed, bytes }) => `${files} files +${added} -${removed} ${size(bytes)}`.padEnd(WIDTH);
  console.log(['recorded twice'.padEnd(20), 'entries', ...Object.keys(SCENES).map((scene) => scene.padEnd(WIDTH))].join(' | '));
  const quiet = [];
  for (const tool of Object.keys(TOOLS)) {
    const { entries, counts } = await measure(tool);
    console.log([tool.padEnd(20), String(entries).padStart(7), ...counts.map(cell)].join(' | '));
    if (tool === 'harproxy') quiet.push(...counts);
  }
  if (quiet[0].files !== 0) throw new Error('harproxy changed something though nothing had changed');
}

main().catch((error) => { console.error(error.message); process.exit(1); });
