
// The requests as a table. Of ten thousand rows only those in view are in the document.

const AHEAD = 12;
const phone = window.matchMedia('(max-width: 720px)');
const printed = window.matchMedia('print');
const rowHeight = () => (phone.matches ? 62 : 34);

/** The origin of all requests, which the rows leave out; `null` if there are several. */
const onlyOrigin = ((origins) => (origins.size === 1 ? [...origins][0] : null))(new Set(data.requests.map(({ url }) => urlParts(url).origin)));

let scroller = null;
let body = null;
/** The request that the keyboard stands on. */
let current = null;

function requestTable() {
  const heads = COLUMNS.map(({ name, label }) => el('th', { scope: 'col', role: 'columnheader', class: `c-${name} ${['size', 'time'].includes(name) ? 'num' : ''}`, 'data-column': name },
    el('button', { type: 'button', onclick: () => sortBy(name) }, label, name === 'url' && onlyOrigin ? el('span', { class: 'url-host' }, ' at ', text(onlyOrigin)) : null)));
  body = el('tbody', { role: 'rowgroup' });
  const table = el('table', { class: 'requests', role: 'table', 'aria-label': 'Requests' }, el('thead', { role: 'rowgroup' }, el('tr', { role: 'row', 'aria-rowindex': '1' }, heads)), body);
  scroller = el('div', { class: 'scroller', tabindex: '-1' }, table);
  let waiting = false;
  scroller.addEventListener('scroll', () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; showRows(); });
  }, { passive: true });
  new ResizeObserver(() => showRows()).observe(scroller);
  body.addEventListener('click', (event) => {
    const row = event.target.closest('tr[data-key]');
    if (!row || event.defaultPrevented || event.target.closest('a') || String(window.getSelection()) !== '') return;
    goTo(row.dataset.key);
  });
  body.addEventListener('focusin', (event) => {
    current = requests.get(event.target.closest('tr[data-key]')?.dataset.key) ?? current;
    markRows();
  });
  const render = () => {
    for (const head of heads) {
      const isSorted = head.dataset.column === state.sort;
      if (isSorted) head.setAttribute('aria-sort', state.descending ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
      head.querySelector('.icon')?.remove();
      if (isSorted) head.firstChild.append(icon('sort'));
    }
    table.setAttribute('aria-rowcount', String(currentOrder().length + 1));
    if (!currentOrder().includes(current)) current = null;
    scroller.scrollTop = 0;
    body.replaceChildren();
    showRows();
  };
  return { scroller, render };
}

function sortBy(name) {
  state.descending = state.sort === name ? !state.descending : ['size', 'time'].includes(name);
  state.sort = name;
  changed();
}

/** Puts the rows that are in view into the document, and room for the others. */
function showRows() {
  const list = currentOrder();
  if (!list.length) {
    body.replaceChildren(el('tr', { role: 'row', class: 'space' }, el('td', { role: 'cell', colspan: COLUMNS.length }, nothingShown())));
    return;
  }
  const height = rowHeight();
  const all = printed.matches;
  const room = Math.max(scroller.clientHeight, 200);
  const first = all ? 0 : Math.max(0, Math.floor(scroller.scrollTop / height) - AHEAD);
  const last = all ? Math.min(list.length, 2000) : Math.min(list.length, first + Math.ceil(room / height) + 2 * AHEAD);
  const there = new Map([...body.querySelectorAll('tr[data-key]')].map((row) => [row.dataset.key, row]));
  const rows = list.slice(first, last).map((request, at) => {
    const row = there.get(request.key) || requestRow(request);
    row.setAttribute('aria-rowindex', String(first + at + 2));
    return row;
  });
  const space = (count) => {
    const cell = el('td', { role: 'cell', colspan: COLUMNS.length });
    cell.style.height = `${count * height}px`;
    return el('tr', { class: 'space', role: 'row', 'aria-hidden': 'true' }, cell);
  };
  fillBody([...(first ? [space(first)] : []), ...rows, ...(last < list.length ? [space(list.length - last)] : [])]);
  markRows();
}

/** Puts rows in the place of those that are there. One that stays is not moved: that would take the focus from it. */
function fillBody(rows) {
  const wanted = new Set(rows);
  for (const row of [...body.children]) if (!wanted.has(row)) row.remove();
  let next = body.firstChild;
  for (const row of rows) {
    if (row === next) next = next.nextSibling;
    else body.insertBefore(row, next);
  }
}

/** Which row the keyboard stands on, and which one is open. */
function markRows() {
  const stop = current && body.querySelector(`tr[data-key="${current.key}"]`) ? current.key : body.querySelector('tr[data-key]')?.dataset.key;
  for (const row of body.querySelectorAll('tr[data-key]')) {
    const isShown = row.dataset.key === shownKey;
    row.classList.toggle('current', isShown || (current !== null && row.dataset.key === current.key));
    const link = row.querySelector('a');
    link.tabIndex = row.dataset.key === stop ? 0 : -1;
    if (isShown) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
}

function requestRow(request) {
  const cell = (name, ...content) => el('td', { class: `c-${name} ${['size', 'time'].includes(name) ? 'num' : ''}`, role: 'cell' }, ...content);
  const source = sourceText(request);
  return el('tr', { role: 'row', class: `row ${isFailing(request) ? 'failing' : ''}`, 'data-key': request.key },
    cell('id', String(request.id)), cell('outcome', badge(request.outcome)), cell('method', text(request.method)),
    cell('status', el('span', { class: request.outcome === 'tunnel' ? '' : statusClass(request.status) }, request.outcome === 'tunnel' ? '' : statusText(request))),
    cell('url', el('a', { href: `#${request.key}`, title: request.url.slice(0, 2000), tabindex: '-1' }, urlText(request.url, onlyOrigin))),
    cell('entry', el('span', { title: source }, text(shortSource(request, source)), request.change && request.change !== 'unchanged' ? changeTag(request.change) : null)),
    cell('type', el('span', { title: essence(request.mime) }, text(essence(request.mime).replace(/^(application|text|image)\//, '')))), cell('size', request.bytes ? bytes(request.bytes) : '–'), cell('time', duration(request.took)), cell('wave', wave(request)));
}

/** A fixture by its file's name: the folder is in the title. */
const shortSource = (request, source) => (request.entry ? source.replace(/^(near )?.*\//, '$1') : source);

function wave(request) {
  const percent = (part) => `${(100 * part).toFixed(3)}%`;
  const [wait, receive] = [el('i', { class: 'wait' }), el('i')];
  const took = request.took ?? request.waited ?? 0;
  const waited = Math.min(request.waited ?? took, took);
  // Of a part of the run, its own axis.
  const [from, length] = state.from === null ? [begin, span] : [state.from, state.to - state.from];
  wait.style.left = percent((request.at - from) / length);
  wait.style.width = percent(waited / length);
  receive.style.left = percent((request.at + waited - from) / length);
  receive.style.width = percent((took - waited) / length);
  return el('div', { class: `wave tone-${outcome(request.outcome).tone}`, 'aria-hidden': 'true' }, wait, receive);
}

function nothingShown() {
  if (!data.requests.length) return el('div', { class: 'none' }, 'No request came through the proxy.');
  return el('div', { class: 'none' }, el('p', {}, 'No request is like that.'), el('button', { type: 'button', class: 'button', onclick: clearFilter }, 'Show all requests'));
}

/** Scrolls to a request and puts the focus on its row; `false` when it is not shown. */
function focusRow(key) {
  const at = currentOrder().findIndex((request) => request.key === key);
  if (at < 0) return false;
  current = currentOrder()[at];
  bringIntoView(at);
  const link = body.querySelector(`tr[data-key="${key}"] a`);
  link?.focus({ preventScroll: true });
  return Boolean(link);
}

function bringIntoView(at) {
  const [height, head] = [rowHeight(), phone.matches ? 0 : 32];
  const [top, bottom] = [at * height, (at + 1) * height];
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (bottom + head > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom + head - scroller.clientHeight;
  showRows();
}

/** Goes `by` rows on: in the panel if it is open, else among the rows. */
function move(by) {
  const list = currentOrder();
  const from = list.findIndex((request) => request.key === (shownKey ?? current?.key));
  const to = list[from < 0 ? (by > 0 ? 0 : list.length - 1) : Math.max(0, Math.min(list.length - 1, from + by))];
  if (!to) return;
  if (shownKey !== null) {
    current = to;
    bringIntoView(list.indexOf(to));
    goTo(to.key, true);
    return;
  }
  scroller.scrollIntoView({ block: 'nearest' });
  focusRow(to.key);
}
