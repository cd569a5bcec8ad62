
// The panel with all of one request, or of one entry.

/** What stands in the panel for a request. */
function requestDetails(request) {
  const misses = request.findings.filter((finding) => finding.near?.length);
  return {
    title: [el('span', { class: 'method' }, text(request.method)), ' ', urlText(request.url)],
    about: [badge(request.outcome), answeredBy(request), el('span', { class: statusClass(request.status) }, request.status === undefined ? 'closed without an answer' : `status ${request.status}`),
      el('span', { class: 'muted' }, duration(request.took)), request.complete === false && el('span', { class: 'tone-warn' }, 'broken off'), commandCopies(request)],
    body: [
      request.findings.map((finding) => el('section', { class: `finding ${finding.severity}` }, el('div', { class: 'finding-body said-here' },
        el('p', {}, kindBadge(finding)), findingText(finding), remedyBox(finding)))),
      misses.length ? nearest(request, misses[0]) : null,
      bothSides(request, misses.length > 0),
      timing(request),
    ].flat(),
  };
}

/** One word of a shell command. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);

/** Fields that the client's own program writes. */
const OWN_FIELDS = ['host', 'content-length', 'connection', 'transfer-encoding', 'proxy-connection', 'accept-encoding'];

/** A request as a command. A payload that the report has not whole, as text, is to be put into the file PAYLOAD. */
function requestCommand(request, isCurl) {
  const entry = request.outcome === 'miss' || !request.entry ? undefined : entries.get(entryKey(...request.entry));
  const payload = payloadOf(request.payload ?? entry?.sent);
  const fields = fieldsOf(request.asked).filter(([name]) => !OWN_FIELDS.includes(name.toLowerCase()));
  const isWhole = payload?.text !== undefined && payload.kept === payload.size && (isCurl || !payload.text.startsWith('@'));
  const words = isCurl ? ['curl', '-g', ...(request.method === 'HEAD' ? ['--head'] : ['-X', request.method])] : ['harproxy', 'explain', '-X', request.method];
  for (const [name, value] of fields) words.push('-H', isCurl && value === '' ? `${name};` : `${name}: ${value}`);
  if (payload && isCurl && !field(request.asked, 'content-type')) words.push('-H', 'content-type:');
  if (payload) words.push(isCurl ? (isWhole ? '--data-raw' : '--data-binary') : '-d', isWhole ? payload.text : '@PAYLOAD');
  words.push('--url', request.url, ...(isCurl ? [] : data.fixtures.map(({ fixture }) => fixture)));
  return words.map(quoted).join(' ');
}

const commandCopies = (request) => request.outcome !== 'tunnel' && el('span', { class: 'links commands' },
  'curl', copyButton('as curl', () => requestCommand(request, true)), 'explain', copyButton('as harproxy explain', () => requestCommand(request, false)));

/** Which entry answered, or stands for the request in the fixture. */
function answeredBy(request) {
  if (!request.entry || request.outcome === 'miss') return el('span', { class: 'muted' }, outcome(request.outcome).about);
  const path = entriesOf(request);
  const links = path.map(({ fixture, entry }, at) => [at ? ' → ' : null, entryLink(fixture, entry, at ? `#${entry}` : undefined)]);
  return el('span', {}, request.outcome === 'recorded' ? 'as ' : 'from ', links, request.change ? changeTag(request.change) : null,
    path.length > 1 ? el('span', { class: 'muted' }, ` · ${many(path.length - 1, 'redirect')} followed`) : null);
}

const CHANGES = { added: ['new', 'tone-good'], changed: ['changed', 'tone-warn'], unchanged: ['unchanged', 'tone-grey'] };
const changeTag = (change) => el('span', { class: `tag ${CHANGES[change]?.[1] || ''}` }, CHANGES[change]?.[0] || change);

function entryLink(fixture, entry, label = placeOf(fixture, entry)) {
  const known = entries.get(entryKey(fixture, entry));
  if (!known) return el('span', {}, text(label));
  return el('a', { href: `#e${entryKey(fixture, entry)}`, title: known.line ? `line ${known.line}` : null }, text(label));
}

/** The nearest entries, one of them beside the request. */
function nearest(request, finding) {
  const near = finding.near.filter((known) => entries.has(entryKey(numberOf.get(known.fixture), known.entry)));
  if (!near.length) return el('section', { class: 'block' }, el('h3', {}, 'Nearest entries'), finding.near.map(nearEntry));
  const space = el('div', { class: 'block' });
  const show = (known) => {
    const entry = entries.get(entryKey(numberOf.get(known.fixture), known.entry));
    space.replaceChildren(...compared(request, entry, known.differences).filter(Boolean));
    space.style.display = 'grid';
    space.style.gap = '12px';
  };
  const buttons = near.map((known, at) => el('button', {
    type: 'button', class: 'chip', 'aria-pressed': String(at === 0),
    onclick: (event) => { for (const button of buttons) button.setAttribute('aria-pressed', String(button === event.currentTarget)); show(known); },
  }, text(`${known.fixture}#${known.entry}`), el('span', { class: 'count' }, many(known.differences.length, 'difference'))));
  show(near[0]);
  return el('section', { class: 'block', 'aria-label': 'Comparison' }, el('h3', {}, 'Beside the nearest entry ',
    el('span', { class: 'muted' }, near.length > 1 ? 'choose which' : text(near[0].fixture + '#' + near[0].entry))),
  near.length > 1 ? el('div', { class: 'choose', role: 'group', 'aria-label': 'Nearest entries' }, buttons) : null, space);
}

/** Request and response side by side. */
function bothSides(request, isCompared) {
  if (request.outcome === 'tunnel') return null;
  if (data.shards) return el('p', { class: 'empty' }, 'Headers and payloads are in the report of its own run: a combined one has none.');
  const path = request.outcome === 'miss' ? [] : entriesOf(request).map(({ fixture, entry }) => entries.get(entryKey(fixture, entry)));
  const [first, last] = [path[0], path[path.length - 1]];
  const sent = payloadOf(request.payload ?? first?.sent);
  const received = payloadOf(last?.received);
  const isRefused = request.source === 'none' || request.source === 'made-up';
  const unkept = path.length === 0;
  return el('div', { class: 'sides' },
    el('section', { class: 'side' }, el('h3', {}, 'Request'), headersPanel(request.asked, !isCompared),
      sent ? (isCompared ? null : payloadPanel('Request payload', sent)) : unkept && !['miss', 'noise'].includes(request.outcome) && !['GET', 'HEAD'].includes(request.method)
        ? el('p', { class: 'empty' }, 'Its payload was not kept: no entry has it.') : null),
    el('section', { class: 'side' }, el('h3', {}, 'Response ', el('span', { class: 'muted' }, isRefused ? 'made by harproxy' : `from ${SOURCES[request.source]}`)),
      headersPanel(request.answered, !isCompared),
      received ? payloadPanel('Response payload', received)
        : isRefused ? null
          : el('p', { class: 'empty' }, unkept && request.bytes ? `${bytes(request.bytes)} that were not kept: no entry has them.` : 'No payload.')));
}

function timing(request) {
  const receiving = request.took !== undefined && request.waited !== undefined ? request.took - request.waited : undefined;
  const facts = [['Came at', duration(request.at)], ['Waited', duration(request.waited)], ['Received in', duration(receiving)], ['Size', bytes(request.bytes)],
    ['Type', essence(request.mime) || '–'], ['Protocol', request.protocol || '–'], ['Connection', request.connection ? number(request.connection) : '–'],
    request.fallback && ['Without an answer', request.fallback.join(', ')], request.rules && ['Rules', request.rules.join(', ')], request.session && ['Session', request.session], request.shard && ['Shard', request.shard]].filter(Boolean);
  return el('section', { class: 'block' }, el('h3', {}, 'Time and connection'), el('dl', { class: 'facts times' },
    facts.map(([name, value]) => el('div', { class: 'fact' }, el('dt', {}, name), el('dd', {}, text(value))))));
}

/** What stands in the panel for an entry. */
function entryDetails(entry) {
  const key = entryKey(entry.fixture, entry.entry);
  const used = users.get(key) || [];
  const place = `${data.names[entry.fixture]}${entry.line ? `:${entry.line}` : ''}`;
  const list = el('div', { class: 'links' });
  inPieces(used, (request) => el('a', { class: 'button', href: `#${request.key}` }, `#${request.id}`), list, 30);
  return {
    title: [el('span', { class: 'method' }, text(entry.method)), ' ', urlText(entry.url)],
    about: [el('span', {}, 'entry ', text(placeOf(entry.fixture, entry.entry))), el('span', { class: 'links' }, el('code', {}, text(place)), copyButton('the place', () => place)),
      el('span', { class: statusClass(entry.status) }, `status ${entry.status}`)],
    body: [
      el('section', { class: 'block' }, el('h3', {}, data.mode === 'record' ? 'Recorded by' : 'Answered'), used.length ? list : el('p', { class: 'empty' }, 'No request of this run.')),
      el('div', { class: 'sides' },
        el('section', { class: 'side' }, el('h3', {}, 'Request ', el('span', { class: 'muted' }, 'as recorded')), headersPanel(entry.asked), payloadOf(entry.sent) && payloadPanel('Request payload', payloadOf(entry.sent))),
        el('section', { class: 'side' }, el('h3', {}, 'Response ', el('span', { class: 'muted' }, 'as recorded')), headersPanel(entry.answered), payloadPanel('Response payload', payloadOf(entry.received)))),
    ],
  };
}

const panel = byId('details');
let shownKey = null;
let openedFrom = null;

/** Shows a request (`r12`) or an entry (`e0.12`), or closes the panel (`null`); `false` for what there is not. */
function showDetails(key) {
  const entry = key?.startsWith('e') ? entries.get(key.slice(1)) : undefined;
  const request = requests.get(key);
  if (!entry && !request) {
    closePanel();
    return key === null;
  }
  if (panel.hidden) openedFrom = document.activeElement;
  shownKey = key;
  const { title, about, body } = entry ? entryDetails(entry) : requestDetails(request);
  const order = request ? currentOrder() : [];
  const at = request ? order.indexOf(request) : -1;
  const step = (shape, words, to, keys) => el('button', { type: 'button', class: 'tool', 'aria-label': words, title: `${words} (${keys})`, disabled: !to,
    onclick: () => goTo(to.key) }, icon(shape));
  const inHead = panel.querySelector('.details-head')?.contains(document.activeElement) ? document.activeElement.getAttribute('aria-label') : null;
  panel.replaceChildren(
    el('div', { class: 'details-head' },
      el('div', {}, el('h2', { id: 'details-title' }, title), el('div', { class: 'details-about' }, about)),
      el('div', { class: 'tools' },
        at >= 0 && el('span', { class: 'muted place-in' }, `${number(at + 1)} of ${number(order.length)}`),
        request && step('up', 'Previous request', order[at - 1], 'k'), request && step('down', 'Next request', at < 0 ? undefined : order[at + 1], 'j'),
        copyButton('the URL', () => (request || entry).url),
        el('button', { type: 'button', class: 'tool', 'aria-label': 'Close', title: 'Close (Esc)', onclick: () => goTo(null) }, icon('cross')))),
    el('div', { class: 'details-body' }, body.filter(Boolean)));
  panel.hidden = false;
  panel.tabIndex = -1;
  const again = inHead && [...panel.querySelectorAll('.details-head button')].find((button) => button.getAttribute('aria-label') === inHead && !button.disabled);
  (again || panel).focus({ preventScroll: true });
  return true;
}

function closePanel() {
  if (panel.hidden) return;
  panel.hidden = true;
  panel.replaceChildren();
  const last = shownKey;
  shownKey = null;
  if (!focusRow(last) && openedFrom?.isConnected) openedFrom.focus();
}
