
// How things are called and how numbers are written.

const OUTCOMES = {
  served: ['served', 'check', 'good', 'an entry answered'],
  miss: ['miss', 'cross', 'bad', 'in scope, and no entry answers'],
  'out-of-scope': ['out of scope', 'slash', 'warn', 'refused as out of scope'],
  refused: ['refused', 'shield', 'warn', 'refused for what it is'],
  recorded: ['recorded', 'dot', 'good', 'answered by the network, and into the fixture'],
  failed: ['failed', 'cross', 'bad', 'not recorded: no connection to upstream'],
  live: ['live', 'globe', 'purple', 'answered by the network, as an option says'],
  local: ['local', 'home', 'blue', 'answered by a server of this machine'],
  passed: ['passed', 'arrow', 'grey', 'answered by the network, unrecorded'],
  preflight: ['preflight', 'check', 'teal', 'a CORS preflight that was made up'],
  noise: ['noise', 'minus', 'grey', "nobody's API"],
  tunnel: ['tunnel', 'tunnel', 'grey', 'a connection that was passed on untouched'],
};
const outcome = (name) => {
  const [word, shape, tone, about] = OUTCOMES[name] || [name, 'dot', 'grey', ''];
  return { word, shape, tone, about };
};

const KINDS = {
  miss: 'Miss', 'out-of-scope': 'Out of scope', truncated: 'Truncated answer', ambiguous: 'Ambiguous', 'no-traffic': 'No traffic',
  unused: 'Unused', stale: 'Stale', passthrough: 'Passed through', websocket: 'WebSocket', bypass: 'Past the proxy',
  stream: 'Stream', 'entry-left-out': 'Entry left out', 'credentials-missing': 'Credentials missing',
  'nothing-recorded': 'Nothing recorded', 'failed-served': 'Recorded failure', 'tls-refused': 'Certificate refused',
  unreadable: 'Unreadable', lost: 'Lost', 'upstream-failed': 'Upstream failed',
  undecoded: 'Not decoded',
};
const kindName = (kind) => KINDS[kind] || kind;

const PARTS = { method: 'Method', host: 'Origin', path: 'Path', query: 'Query', header: 'Header', body: 'Body' };
const SOURCES = { fixture: 'a fixture', live: 'the network', local: 'this machine', 'made-up': 'harproxy', none: 'nobody' };

const number = (value) => value.toLocaleString('en');
const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** `13 requests in 11 findings`: the same words wherever the page counts failures. Empty without failures. */
function failureCount() {
  const { requests: count, findings, others } = failures;
  const asked = count ? `${many(count, 'request')} in ${many(findings, 'finding')}` : '';
  return [asked, others && many(others, asked ? 'other finding' : 'finding')].filter(Boolean).join(' and ');
}

function bytes(count) {
  if (count < 1000) return `${count} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = count, unit = -1;
  while (value >= 999.5 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function duration(millis) {
  if (millis === undefined || millis === null) return '–';
  if (millis < 1) return `${millis.toFixed(2)} ms`;
  if (millis < 10) return `${millis.toFixed(1)} ms`;
  if (millis < 999.5) return `${Math.round(millis)} ms`;
  if (millis < 59_950) return `${(millis / 1000).toFixed(millis < 9995 ? 2 : 1)} s`;
  const seconds = Math.round(millis / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}

const essence = (mime) => (mime || '').split(';')[0].trim().toLowerCase();

/** Origin, path and query of a URL, as it was written; of anything else, all of it as its path. */
function urlParts(url) {
  const [, origin = '', path = '', query = ''] = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]*)?([^?#]*)(\?[^#]*)?/i.exec(url);
  return { origin, path, query };
}

/** A URL with its parts set apart; without its origin where that is `known`. */
function urlText(url, known = null) {
  const { origin, path, query } = urlParts(url);
  const host = origin === known && path ? '' : origin.replace(/^https?:\/\//i, '');
  return [
    host && el('span', { class: 'url-host' }, text(origin.startsWith('http:') ? origin : host)),
    el('span', { class: 'url-path' }, text(path)),
    query && el('span', { class: 'url-query' }, text(query)),
    url.slice(origin.length + path.length + query.length),
  ];
}

/** Names and values of a query or a form, decoded where that can be undone by eye. */
function pairs(query) {
  const decode = (part) => { try { return decodeURIComponent(part.replace(/\+/g, ' ')); } catch { return part; } };
  return query.replace(/^\?/, '').split('&').filter(Boolean).map((pair) => {
    const at = pair.indexOf('=');
    return at < 0 ? [decode(pair), ''] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
  });
}

function badge(name) {
  const { word, shape, tone, about } = outcome(name);
  return el('span', { class: `badge tone-${tone}`, title: about }, icon(shape), word);
}

const statusText = (request) => (request.status === undefined ? 'none' : String(request.status));
/** A class for each class of status; no response is as grave as a 5xx. */
const statusClass = (status) => (status === undefined || status >= 500 ? 'status-5xx' : status >= 200 ? `status-${Math.floor(status / 100)}xx` : '');
