
// Which requests are shown, and in which order. Kept in the fragment, so that a link shows the same.

const state = { words: '', outcomes: new Set(), failing: false, from: null, to: null, sort: 'id', descending: false };

const COLUMNS = [
  { name: 'id', label: '#', by: (request) => request.index },
  { name: 'outcome', label: 'Outcome', by: (request) => outcome(request.outcome).word },
  { name: 'method', label: 'Method', by: (request) => request.method },
  { name: 'status', label: 'Status', by: (request) => request.status ?? 0 },
  { name: 'url', label: 'URL', by: (request) => request.url },
  { name: 'entry', label: 'Source', by: (request) => (request.entry ? [request.entry[0], request.entry[1]] : [Infinity, 0]) },
  { name: 'type', label: 'Type', by: (request) => essence(request.mime) },
  { name: 'size', label: 'Size', by: (request) => request.bytes },
  { name: 'time', label: 'Time', by: (request) => request.took ?? Infinity },
  { name: 'wave', label: 'Waterfall', by: (request) => request.at },
];

/** All that the search looks at, in lower case. */
function haystack(request) {
  request.haystack ??= [request.method, request.url, statusText(request), outcome(request.outcome).word, request.outcome, sourceText(request),
    essence(request.mime), request.session, request.shard, request.change, request.change && CHANGES[request.change]?.[0], `#${request.id}`, request.findings.map((finding) => finding.kind).join(' ')].join('\n').toLowerCase();
  return request.haystack;
}

const sourceText = (request) => (request.entry && request.outcome !== 'miss' ? placeOf(...request.entry)
  : request.entry ? `near ${placeOf(...request.entry)}` : SOURCES[request.source]);

/** Whether a request has a word: `status:404`, `status:4xx`, `method:post`, or text anywhere in it. */
function hasWord(request, word) {
  const [, name, value] = /^(status|method):(.+)$/.exec(word) || [];
  if (name === 'method') return request.method.toLowerCase() === value;
  if (name !== 'status') return haystack(request).includes(word);
  const status = statusText(request);
  return status.length === value.length && [...value].every((digit, at) => digit === 'x' || digit === status[at]);
}

/** Whether the words, of which `-word` must not be there, are in a request. */
function hasWords(request, words) {
  return words.every((word) => (word.length > 1 && word.startsWith('-') ? !hasWord(request, word.slice(1)) : hasWord(request, word)));
}

function compareValues(a, b) {
  if (Array.isArray(a)) return compareValues(a[0], b[0]) || compareValues(a[1], b[1]);
  return a < b ? -1 : a > b ? 1 : 0;
}

let order = null;

/** The requests that are shown, in their order. */
function currentOrder() {
  if (order) return order;
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const { by } = COLUMNS.find((column) => column.name === state.sort);
  order = data.requests.filter((request) => hasWords(request, words)
    && (!state.outcomes.size || state.outcomes.has(request.outcome))
    && (!state.failing || isFailing(request))
    && (state.from === null || (request.at <= state.to && request.at + (request.took ?? 0) >= state.from)));
  if (state.sort !== 'id' || state.descending) {
    const sign = state.descending ? -1 : 1;
    const keyed = order.map((request) => [by(request), request]);
    keyed.sort(([a, one], [b, other]) => sign * compareValues(a, b) || one.index - other.index);
    order = keyed.map(([, request]) => request);
  }
  return order;
}

const isFiltered = () => state.words !== '' || state.outcomes.size > 0 || state.failing || state.from !== null;

function clearFilter() {
  Object.assign(state, { words: '', outcomes: new Set(), failing: false, from: null, to: null });
  changed();
}

/** The filter, as it stands in the fragment. */
function filterFragment() {
  return [state.words && `q=${encodeURIComponent(state.words)}`, state.outcomes.size && `outcome=${[...state.outcomes].join(',')}`,
    state.failing && 'failing', (state.sort !== 'id' || state.descending) && `sort=${state.descending ? '-' : ''}${state.sort}`].filter(Boolean);
}

function readFilter(parts) {
  const values = new Map(parts.map((part) => [part.split('=')[0], part.slice(part.indexOf('=') + 1)]));
  const decode = (value) => { try { return decodeURIComponent(value); } catch { return value; } };
  const sort = (values.get('sort') || 'id');
  const column = sort.replace(/^-/, '');
  Object.assign(state, {
    words: decode(values.get('q') || ''),
    outcomes: new Set((values.get('outcome') || '').split(',').filter((name) => name in OUTCOMES)),
    failing: values.has('failing'),
    sort: COLUMNS.some(({ name }) => name === column) ? column : 'id',
    descending: sort.startsWith('-'),
  });
}

/** The bar above the table. */
function filterBar() {
  const input = el('input', { type: 'search', id: 'search', placeholder: 'Search, or status:4xx, method:POST …', 'aria-label': 'Search requests', autocomplete: 'off', spellcheck: 'false', 'aria-keyshortcuts': '/' });
  input.addEventListener('input', () => { state.words = input.value; changed(); });
  const counts = new Map();
  for (const request of data.requests) counts.set(request.outcome, (counts.get(request.outcome) || 0) + 1);
  const chips = [];
  if (failures.requests) {
    chips.push([() => state.failing, el('button', { type: 'button', class: 'chip', 'data-outcome': 'failing', title: failureCount(), onclick: () => { state.failing = !state.failing; changed(); } },
      icon('cross', 'tone-bad'), 'Failing', el('span', { class: 'count' }, number(failures.requests)))]);
  }
  for (const name of Object.keys(OUTCOMES).filter((known) => counts.has(known))) {
    const { word, shape, tone, about } = outcome(name);
    chips.push([() => state.outcomes.has(name), el('button', {
      type: 'button', class: 'chip', 'data-outcome': name, title: about,
      onclick: () => { if (!state.outcomes.delete(name)) state.outcomes.add(name); changed(); },
    }, icon(shape, `tone-${tone}`), word, el('span', { class: 'count' }, number(counts.get(name))))]);
  }
  const shown = el('p', { class: 'shown', id: 'shown' });
  const clear = el('button', { type: 'button', class: 'chip', onclick: clearFilter }, icon('cross'), 'Clear');
  const render = () => {
    if (input.value !== state.words) input.value = state.words;
    for (const [isOn, chip] of chips) chip.setAttribute('aria-pressed', String(isOn()));
    clear.hidden = !isFiltered();
    const all = number(data.requests.length);
    const words = isFiltered() ? `${number(currentOrder().length)} of ${all} requests` : many(data.requests.length, 'request');
    const part = state.from === null ? '' : `, ${duration(state.from)} to ${duration(state.to)}`;
    shown.textContent = words + part;
  };
  const bar = el('div', { class: 'bar' }, el('div', { class: 'search', role: 'search' }, icon('search'), input, el('kbd', { 'aria-hidden': 'true' }, '/')),
    el('fieldset', { class: 'chips' }, el('legend', { class: 'only-heard' }, 'Outcomes'), chips.map(([, chip]) => chip), clear), shown);
  return { bar, render };
}
