
// The fixtures of the run, and what of them was used.

function showFixtures() {
  const section = byId('fixtures');
  const of = (name) => data.entries.filter((entry) => data.names[entry.fixture] === name);
  const list = data.fixtures.length ? data.fixtures : data.names.map((name) => ({ fixture: name, entries: of(name).length, used: null, unusedEntries: [] }));
  section.append(el('div', { class: 'section-head' }, el('h2', { id: 'fixtures-title' }, 'Fixtures'),
    el('span', { class: 'muted' }, list.length ? many(list.length, 'fixture') : '')));
  if (!list.length) section.append(el('p', { class: 'all-good' }, icon('minus'), 'No fixture had a part in this run.'));
  for (const fixture of list) section.append(fixtureCard(fixture, of(fixture.fixture)));
  if (data.rules) section.append(rulesTable());
}

/** The rules of the run, with the number of requests that each applied to. */
function rulesTable() {
  const row = (rule) => el('tr', {}, el('td', {}, text(rule.rule)), el('td', { class: 'mono' }, text(rule.match)), el('td', { class: 'number' }, number(rule.requests)));
  return el('table', { class: 'rules' }, el('caption', {}, 'Rules'), el('thead', {}, el('tr', {}, ['Rule', 'Match', 'Requests'].map((name) => el('th', { scope: 'col' }, name)))),
    el('tbody', {}, data.rules.map(row)));
}

function fixtureCard(fixture, known) {
  const isUsed = fixture.used !== null;
  const share = fixture.entries ? fixture.used / fixture.entries : 0;
  const fill = el('i');
  fill.style.width = `${100 * share}%`;
  const summary = el('summary', {}, icon('chevron', 'chevron'), el('span', { class: 'mono' }, text(fixture.fixture)),
    isUsed ? el('span', { class: 'meter', 'aria-hidden': 'true' }, fill) : el('span'),
    el('span', { class: 'muted' }, isUsed ? `${number(fixture.used)} of ${many(fixture.entries, 'entry', 'entries')} used${fixture.pruned ? `, ${number(fixture.pruned)} taken out` : ''}` : many(fixture.entries, 'entry', 'entries')));
  const byEntry = new Map(known.map((entry) => [entry.entry, entry]));
  const unused = (fixture.unusedEntries || []).map((entry) => byEntry.get(entry) || named(fixture.fixture, entry));
  const names = new Set(fixture.unusedEntries);
  const used = known.filter((entry) => !names.has(entry.entry)).sort((a, b) => a.entry - b.entry);
  return folding({ class: 'fixture' }, summary, () => el('div', { class: 'entries' },
    unused.length ? [el('h3', {}, `Nothing asked for ${many(unused.length, 'entry', 'entries')}`), entryList(fixture, unused)] : null,
    used.length ? [el('h3', {}, isUsed ? 'Used' : 'Seen'), entryList(fixture, used)] : null,
    !unused.length && !used.length ? el('p', { class: 'muted' }, 'This report lists none of its entries.') : null), data.fixtures.length === 1 && known.length <= 12);
}

/** What a finding says of an entry that the report does not hold. */
function named(fixture, entry) {
  const found = data.findings.find((finding) => finding.kind === 'unused' && finding.entry === entry && finding.fixture === fixture);
  const [, method, url] = /^(\S+) ([^]*)$/.exec(found?.request || '') || [];
  return { entry, method, url, line: found?.line };
}

function entryList(fixture, list) {
  return inPieces(list, (entry) => {
    const place = `${fixture.fixture}${entry.line ? `:${entry.line}` : ''}`;
    const used = entry.fixture === undefined ? [] : users.get(entryKey(entry.fixture, entry.entry)) || [];
    return el('li', { class: 'entry' }, el('span', { class: 'muted' }, `#${entry.entry}`),
      el('b', {}, entry.method ? text(entry.method) : '–'), el('span', { class: statusClass(entry.status) }, entry.status === undefined ? '–' : String(entry.status)),
      el('span', { class: 'entry-url' }, entry.url === undefined ? el('span', { class: 'muted' }, 'not in this report') : entry.fixture === undefined ? urlText(entry.url) : el('a', { href: `#e${entryKey(entry.fixture, entry.entry)}` }, urlText(entry.url))),
      el('span', { class: 'place' }, used.length ? `${many(used.length, 'request')} · ` : null, entry.line ? `line ${entry.line} ` : null, copyButton('the place', () => place)));
  }, el('ol'), 50);
}
