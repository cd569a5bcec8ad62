
// The page comes together.

let fragment = null;
const KEY = /^(r\d+(-\d+)?|e\d+\.\d+)$/;

/** Shows a request, an entry or none, and says so in the fragment; `replace` leaves no trace in the history. */
function goTo(key, replace = false) {
  write(key, replace);
  showDetails(key);
  markRows();
}

function write(key, replace) {
  fragment = [key, ...filterFragment()].filter(Boolean).join('&');
  try {
    history[replace ? 'replaceState' : 'pushState'](null, '', `#${fragment}`);
  } catch {
    // A frame without an origin of its own has no history to write to.
  }
}

/** Shows what the fragment says. */
function read() {
  const now = location.hash.slice(1);
  if (now === fragment) return;
  if (['requests', 'findings', 'fixtures'].includes(now)) return;
  fragment = now;
  const [first, ...rest] = now.split('&');
  const isKey = KEY.test(first);
  readFilter(isKey ? rest : [first, ...rest]);
  order = null;
  renderFilter();
  const key = isKey ? first : null;
  if (requests.has(key)) {
    current = requests.get(key);
    const at = currentOrder().indexOf(current);
    if (at >= 0) bringIntoView(at);
  }
  if (!showDetails(key)) say('This report has nothing of that name');
  markRows();
}

let renderFilter = () => {};

/** The filter or the order was changed. */
function changed() {
  order = null;
  renderFilter();
  write(shownKey, true);
  clearTimeout(changed.later);
  changed.later = setTimeout(() => say(`${many(currentOrder().length, 'request')} shown`), 400);
}

function showVerdict() {
  const isGood = data.passed && data.status === 0;
  const [, words, reasons] = /^[✓✗]?\s*([^:]*)(?::\s*(.*))?$/u.exec(data.headline) || [null, data.headline, ''];
  const title = words.charAt(0).toUpperCase() + words.slice(1);
  const cmdFailed = data.source === 'cmd' && data.status !== 0;
  const { counts } = data;
  const [used, all] = data.fixtures.reduce(([u, e], fixture) => [u + fixture.used, e + fixture.entries], [0, 0]);
  const whose = { cmd: 'the command’s own', verdict: 'the verdict’s', harproxy: 'harproxy’s' }[data.source];
  const started = new Date(data.started);
  const facts = [
    ['Exit status', [String(data.status), ' ', el('small', {}, whose)]],
    ['Duration', duration(data.durationMs)],
    ['Started', Number.isNaN(started.getTime()) ? data.started : el('time', { datetime: data.started, title: data.started }, started.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }))],
    ['Requests', number(counts.requests)],
    data.mode === 'replay' && ['Served from fixtures', [number(counts.served), ' ', el('small', {}, counts.followed ? `${many(counts.followed, 'redirect')} followed` : '')]],
    data.mode === 'record' && ['Recorded', number(counts.recorded)],
    all > 0 && data.mode === 'replay' && ['Entries used', [number(used), ' ', el('small', {}, `of ${number(all)}`)]],
    ['Upstream connections', number(counts.upstreamConnections)],
    ['Sent to clients', bytes(counts.bytes)],
    counts.redacted > 0 && ['Secrets redacted', number(counts.redacted)],
    counts.tunnels > 0 && ['Tunnels', number(counts.tunnels)],
  ].filter(Boolean);
  byId('verdict').append(el('div', { class: `verdict ${isGood ? 'good' : 'bad'}` },
    el('div', { class: 'verdict-head' }, el('span', { class: 'verdict-sign' }, icon(isGood ? 'check' : 'cross')),
      el('div', {}, el('h1', { id: 'headline' }, text(title)), reasons ? el('p', { class: 'verdict-why' }, prose(reasons), failureCount() && el('span', { class: 'muted' }, ` · ${failureCount()}`)) : null,
        cmdFailed ? el('p', { class: 'verdict-why' }, `The command ended with ${data.status}`, data.status > 128 ? ` (signal ${data.status - 128})` : '', '.') : null,
      data.command ? el('p', { class: 'verdict-cmd' }, el('span', { class: 'only-heard' }, 'Command: '), el('code', {}, text(data.command)), copyButton('the command', () => data.command)) : null)),
    data.shards ? shardTable() : null,
    el('dl', { class: 'facts' }, facts.map(([name, value]) => el('div', { class: 'fact' }, el('dt', {}, name),
      el('dd', {}, value))))));
}

/** The runs that the report was combined from. */
function shardTable() {
  const list = el('tbody');
  inPieces(data.shards, (shard) => el('tr', {}, el('th', { scope: 'row' }, text(shard.shard)),
    el('td', {}, el('span', { class: shard.passed && shard.status === 0 ? 'badge tone-good' : 'badge tone-bad' }, icon(shard.passed && shard.status === 0 ? 'check' : 'cross'), shard.passed ? 'passed' : 'failed')),
    el('td', {}, String(shard.status)), el('td', {}, number(shard.requests)), el('td', {}, duration(shard.durationMs))), list, 200);
  return el('div', { class: 'shards' }, el('table', {}, el('caption', {}, `Combined from ${many(data.shards.length, 'report')}`),
    el('thead', {}, el('tr', {}, ['Report', 'Verdict', 'Status', 'Requests', 'Duration'].map((name) => el('th', { scope: 'col' }, name)))), list));
}

function showRequests() {
  const section = byId('requests');
  section.append(el('div', { class: 'section-head' }, el('h2', { id: 'requests-title' }, 'Requests')));
  if (data.moreRequests) {
    section.append(el('p', { class: 'note' }, icon('warn'), el('span', {}, `${many(data.moreRequests, 'more request')} came: the report lists the first ${number(data.requests.length)}.`)));
  }
  const { bar, render } = filterBar();
  const { scroller: area, render: renderTable } = requestTable();
  const { box, draw } = data.requests.length ? timeline() : { box: null, draw: () => {} };
  section.append(bar, ...(box ? [box] : []), area, el('p', { class: 'legend', 'aria-hidden': 'true' },
    el('span', {}, el('i', { class: 'wait' }), 'waiting for the head'), el('span', {}, el('i'), 'receiving the payload'),
    data.requests.length > 1 ? el('span', {}, 'drag on the timeline to look at a part of it') : null));
  if (!box) area.style.borderRadius = '10px';
  renderFilter = () => { render(); renderTable(); draw(); };
  renderFilter();
  return draw;
}

const SHORTCUTS = [['/', 'search'], ['j  ↓', 'next request'], ['k  ↑', 'previous request'], ['Enter', 'open the request'], ['Esc', 'close, or clear the search'], ['f', 'only what failed the run'], ['?', 'this list']];

function showHelp() {
  const help = byId('help');
  if (!help.childElementCount) {
    help.append(el('h2', { id: 'help-title' }, 'Keyboard'), el('dl', {}, SHORTCUTS.map(([keys, what]) => [
      el('dt', {}, keys.split(/\s+/).map((key, at) => [at ? ' ' : null, el('kbd', {}, key)]).flat()), el('dd', {}, what)]).flat()),
    el('p', { class: 'muted more' }, 'In the search, words may be anywhere; -word must not be there.'),
    el('form', { method: 'dialog' }, el('button', { class: 'button' }, 'Close')));
  }
  help.showModal();
}

function chooseTheme(draw) {
  const [button, root] = [byId('theme'), document.documentElement];
  const NAMES = { auto: 'as the system', light: 'light', dark: 'dark' };
  const stored = () => { try { return localStorage.getItem('harproxy-theme'); } catch { return null; } };
  const show = (name) => {
    if (name === 'auto') delete root.dataset.theme;
    else root.dataset.theme = name;
    button.replaceChildren(icon({ auto: 'auto', light: 'sun', dark: 'moon' }[name]));
    button.setAttribute('aria-label', `Colours: ${NAMES[name]}`);
    button.title = button.getAttribute('aria-label');
    draw();
  };
  let name = NAMES[stored()] ? stored() : 'auto';
  show(name);
  button.addEventListener('click', () => {
    const names = Object.keys(NAMES);
    name = names[(names.indexOf(name) + 1) % names.length];
    try { localStorage.setItem('harproxy-theme', name); } catch { /* for this once, then */ }
    show(name);
  });
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
}

/** Links within the page keep the filter; with a modifier they are the browser's. */
function follow(event) {
  const link = event.target.closest?.('a[href^="#"]');
  const key = link?.getAttribute('href').slice(1);
  if (!KEY.test(key) || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  goTo(key);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId('help').open) return;
  const field = event.target.closest('input, textarea, select');
  const search = byId('search');
  if (event.key === 'Escape') {
    if (field === search && search.value) { state.words = ''; changed(); } else if (shownKey !== null) goTo(null); else field?.blur();
    return;
  }
  if (field) {
    if (event.key === 'ArrowDown' && field === search) { event.preventDefault(); current = null; move(1); }
    return;
  }
  const inPanel = panel.contains(event.target);
  const inTable = scroller.contains(event.target) || event.target === document.body || event.target === panel;
  const steps = { j: 1, k: -1, ...(inTable ? { ArrowDown: 1, ArrowUp: -1, ...(inPanel ? {} : { PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }) } : {}) };
  if (event.key in steps && (event.target !== document.body || event.key.length === 1)) { event.preventDefault(); move(steps[event.key]); }
  else if (event.key === '/') { event.preventDefault(); search.focus(); search.select(); }
  else if (event.key === '?') { event.preventDefault(); showHelp(); }
  else if (event.key === 'f' && data.requests.some(isFailing)) { state.failing = !state.failing; changed(); }
}

byId('app').hidden = false;
byId('mode').textContent = `${data.mode} report`;
byId('foot').textContent = `harproxy ${data.harproxy} · this file needs no network, and opens none`;
showVerdict();
showFindings();
const draw = showRequests();
showFixtures();
chooseTheme(draw);
byId('help-open').append(icon('keys'));
byId('help-open').addEventListener('click', showHelp);
document.addEventListener('keydown', keys);
document.addEventListener('click', follow);
window.addEventListener('hashchange', read);
window.addEventListener('popstate', read);
window.addEventListener('beforeprint', showRows);
window.addEventListener('afterprint', showRows);
phone.addEventListener('change', () => { body.replaceChildren(); showRows(); });
read();
