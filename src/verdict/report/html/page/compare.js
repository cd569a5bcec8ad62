
// A request beside an entry that did not answer it.

/** What was compared and differs, as a table: one line a difference. */
function differenceTable(differences, caption) {
  return el('table', { class: 'diff' },
    el('caption', { class: 'only-heard' }, caption),
    el('thead', {}, el('tr', {}, ...['Difference', 'Request', 'Recorded'].map((name, at) => el('th', { scope: 'col', class: at ? '' : 'what' }, name)))),
    el('tbody', {}, differences.map((difference) => row(
      ...partName(difference), difference.request, difference.recorded, 'apart'))));
}

/** What a difference is about: its name, and what kind of thing that is. */
function partName({ what, name }) {
  const part = PARTS[what] || what;
  if (what === 'path' && /^\d+$/.test(name)) return [`Segment ${name}`, 'path'];
  return name ? [name, part.toLowerCase()] : [part, null];
}

/** A line: a name, what the request says, what the entry says. */
function row(name, about, mine, theirs, how) {
  const cell = (value, other, side) => el('td', { class: side }, value === null || value === undefined
    ? el('span', { class: 'absent' }, 'absent')
    : how === 'apart' && typeof other === 'string' ? apart(value, other) : text(value));
  return el('tr', { class: how }, el('th', { scope: 'row' }, el('b', {}, text(name)), about ? el('span', { class: 'part' }, about) : null),
    cell(mine, theirs, 'sent'), cell(theirs, mine, 'stored'));
}

/** All of a request beside all of an entry. `differences` are those that kept the entry from answering. */
function compared(request, entry, differences) {
  const decisive = (what, name) => differences.some((known) => known.what === what && (name === undefined || known.name.toLowerCase() === name.toLowerCase()));
  const how = (same, counts) => (same ? '' : counts ? 'apart' : 'aside');
  const body = el('tbody');
  const group = (name, about) => body.append(el('tr', { class: 'group' }, el('th', { colspan: 3, scope: 'colgroup' }, name, about && el('span', { class: 'muted' }, ` · ${about}`))));
  const [mine, theirs] = [urlParts(request.url), urlParts(entry.url)];
  group('Request line');
  body.append(row('Method', null, request.method, entry.method, how(request.method === entry.method, decisive('method'))));
  body.append(row('Origin', null, mine.origin, theirs.origin, how(mine.origin === theirs.origin, decisive('host'))));
  body.append(row('Path', null, mine.path, theirs.path, how(mine.path === theirs.path, decisive('path'))));
  const both = (left, right, what) => {
    const names = [...new Set([...left, ...right].map(([name]) => name))];
    const values = (list, name) => { const found = list.filter(([known]) => known === name).map(([, value]) => value); return found.length ? found.join('\n') : null; };
    return names.map((name) => {
      const [a, b] = [values(left, name), values(right, name)];
      return { name, a, b, how: how(a === b, decisive(what, name)) };
    });
  };
  const rows = (list) => list.forEach(({ name, a, b, how: kind }) => body.append(row(name, null, a, b, kind)));
  const queries = both(pairs(mine.query), pairs(theirs.query), 'query');
  if (queries.length) { group('Query'); rows(queries); }
  const lower = (numbers) => fieldsOf(numbers).map(([name, value]) => [name.toLowerCase(), value]);
  const headers = both(lower(request.asked), lower(entry.asked), 'header');
  const counting = headers.filter((header) => header.how === 'apart');
  const table = el('table', { class: 'diff' }, el('caption', { class: 'only-heard' }, `The request beside ${placeOf(entry.fixture, entry.entry)}`),
    el('thead', {}, el('tr', {}, el('th', { scope: 'col', class: 'what' }, 'Part'), el('th', { scope: 'col' }, 'Request'),
      el('th', { scope: 'col' }, 'Recorded'))), body);
  if (counting.length) { group('Headers', 'that must be equal'); rows(counting); }
  const others = headers.filter((header) => header.how !== 'apart');
  return [table, comparedBodies(request, entry, decisive('body')), others.length ? folding({ class: 'panel' },
    el('summary', {}, icon('chevron', 'chevron'), el('b', {}, 'Headers'), el('span', { class: 'muted' }, `${number(others.length)}, which don’t keep an entry from answering`)),
    () => el('table', { class: 'diff' }, el('caption', { class: 'only-heard' }, 'Headers'),
      el('thead', {}, el('tr', {}, ...['Header', 'Request', 'Recorded'].map((name, at) => el('th', { scope: 'col', class: at ? '' : 'what' }, name)))),
      el('tbody', {}, others.map(({ name, a, b, how: kind }) => row(name, null, a, b, kind))))) : null];
}

/** Two payloads side by side. */
function comparedBodies(request, entry, counts) {
  const [mine, theirs] = [payloadOf(request.payload), payloadOf(entry.sent)];
  if (!mine && !theirs) return null;
  const sides = [mine, theirs].map((payload, at) => (!payload || (payload.text === undefined && !segmentsOf(payload)) || !counts
    ? payloadPanel(at ? 'Recorded payload' : 'Request payload', payload) : null));
  if (sides.includes(null)) {
    const shown = bothShown(mine, theirs);
    [mine, theirs].forEach((payload, at) => {
      if (sides[at]) return;
      const label = at ? 'Recorded payload' : 'Request payload';
      sides[at] = el('div', { class: 'panel' }, el('div', { class: 'panel-head' }, el('b', {}, label),
        el('span', { class: 'muted' }, text(essence(payload.mime)), ' · ', bytes(payload.size)), el('span', { class: 'push' }),
        payload.text === undefined ? null : copyButton(`the ${label.toLowerCase()}`, () => payload.text)),
      el('div', { class: 'payload-body', tabindex: '0', role: 'region', 'aria-label': label }, shown[at]), cutNote(payload));
    });
  }
  return el('div', { class: 'sides' }, el('div', { class: 'side sent' }, sides[0]), el('div', { class: 'side stored' }, sides[1]));
}

/** Two payloads with what differs marked; one of them may not be there. */
function bothShown(mine, theirs) {
  if (segmentsOf(mine) && segmentsOf(theirs)) return segmentsApart(segmentsOf(mine), segmentsOf(theirs));
  if (mine?.text === undefined || theirs?.text === undefined) return [mine, theirs].map((payload) => payload && (views(payload)[0]?.[1]() || null));
  // Marks belong to this pair.
  const [left, right] = [mine, theirs].map((payload) => (jsonOf(payload) ? parseJson(payload.text) : null));
  if (left && right) {
    markDifferences(left, right);
    return [jsonTree(left, !mine.depth), jsonTree(right, !theirs.depth)];
  }
  if (isForm(mine) && isForm(theirs)) {
    const asLines = (payload) => pairs(payload.text).map(([name, value]) => `${name} = ${value}`).join('\n');
    return linesApart(asLines(mine), asLines(theirs));
  }
  return linesApart(mine.text, theirs.text);
}
