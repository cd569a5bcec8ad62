
// What was found, the gravest first.

const FIRST_FINDINGS = 20;
const OPEN_FINDINGS = 3;

const kindBadge = (finding) => el('span', { class: `kind ${finding.severity}` },
  icon(finding.severity === 'error' ? 'cross' : 'warn'), kindName(finding.kind), el('span', { class: 'only-heard' }, finding.severity === 'error' ? ' (fails the run)' : ' (listed)'));

/** The explanation; what is shown beside it as a table is not told again. */
function findingText(finding, isTold = false) {
  const lines = finding.explanation.split('\n').slice(isTold ? 1 : 0);
  const told = finding.near?.length ? lines.filter((line) => !/^\s*(nearest|next|then|also near)\b/.test(line)) : lines;
  return told.length > 0 && el('div', { class: 'said' }, told.filter((line) => line.trim()).map((line) => el('p', {}, prose(line))));
}

/** What to do about it; what can be typed can be copied. */
function remedyBox(finding) {
  if (!finding.remedy) return null;
  const codes = [...finding.remedy.matchAll(/`([^`]+)`/g)].map((found) => found[1]);
  const [first, ...lines] = finding.remedy.split('\n');
  const isCode = !codes.length && /^(--|harproxy )/.test(finding.remedy);
  const copied = lines.length ? lines.join('\n') : isCode ? finding.remedy : codes.length ? codes[0] : finding.remedy;
  const said = lines.length ? [prose(first), el('pre', {}, text(copied))] : isCode ? ['To let it match: ', el('code', { class: 'typed' }, options(copied))] : prose(finding.remedy);
  return el('div', { class: 'remedy' }, icon('bulb'), el('div', {}, el('span', { class: 'only-heard' }, 'Remedy: '), said), copyButton('the remedy', () => copied));
}

/** A line of options: none is broken in two. */
const options = (line) => line.split(/ (?=--)/).flatMap((option, at) => [at ? ' ' : null, el('span', { class: option.length < 60 ? 'unbroken' : null }, text(option))]);

/** One near entry with its differences. */
function nearEntry(near) {
  const at = numberOf.get(near.fixture);
  return el('div', { class: 'near' },
    el('p', { class: 'near-head' }, 'Nearest entry: ', at === undefined ? text(`${near.fixture}#${near.entry}`) : entryLink(at, near.entry),
      near.line ? el('span', { class: 'muted' }, `line ${near.line}`) : null, near.operation ? el('code', {}, text(near.operation)) : null),
    near.differences.length ? differenceTable(near.differences, `What ${near.fixture}#${near.entry} differs in`) : el('p', { class: 'muted' }, 'Nothing differs.'));
}

function findingCard(finding, open) {
  const summary = el('summary', {}, icon('chevron', 'chevron'), kindBadge(finding),
    el('span', { class: `finding-what ${finding.request ? 'mono' : ''}` }, finding.request ? text(finding.request) : prose(finding.explanation.split('\n')[0])),
    finding.times > 1 ? el('span', { class: 'times' }, `${number(finding.times)} times`) : null);
  const content = () => {
    const near = finding.near || [];
    const links = el('div', { class: 'links' });
    const label = (request) => (near.length && finding.seen.length === 1 && !data.shards ? ['Compare side by side', icon('arrow')] : [`Request #${request.id}`]);
    inPieces(finding.seen, (request) => el('a', { class: 'button', href: `#${request.key}` }, label(request)), links, 8);
    const place = finding.fixture && !near.length ? `${finding.fixture}${finding.line ? `:${finding.line}` : ''}` : null;
    return el('div', { class: 'finding-body' }, findingText(finding, !finding.request),
      finding.session && el('p', { class: 'muted' }, 'Test: ', text(finding.session)),
      place && el('p', { class: 'links muted' }, finding.entry !== null && numberOf.has(finding.fixture) ? entryLink(numberOf.get(finding.fixture), finding.entry) : null, el('code', {}, text(place)), copyButton('the place', () => place)),
      near[0] && nearEntry(near[0]),
      near.length > 1 ? folding({ class: 'panel' }, el('summary', {}, icon('chevron', 'chevron'), many(near.length - 1, 'other near entry', 'other near entries')),
        () => el('div', { class: 'payload-body' }, near.slice(1).map(nearEntry))) : null,
      remedyBox(finding), finding.seen.length ? links : null);
  };
  return folding({ class: `finding ${finding.severity}`, id: `f${finding.index}` }, summary, content, open);
}

function showFindings() {
  const section = byId('findings');
  // Entries that nothing asked for are with their fixtures, unless they fail the run.
  const isListed = (finding) => finding.kind === 'unused' && finding.severity !== 'error';
  const told = data.findings.filter((finding) => !isListed(finding));
  const unused = data.fixtures.reduce((sum, fixture) => sum + fixture.entries - fixture.used, 0);
  const weight = ({ severity, kind }) => (severity === 'error' ? 0 : 2) + (kind === 'miss' ? 0 : 1);
  told.sort((a, b) => weight(a) - weight(b) || a.index - b.index);
  const failing = told.filter((finding) => finding.severity === 'error').length;
  const { requests: asked, others } = failures;
  const about = [failing && `${failureCount()} ${asked + others === 1 ? 'fails' : 'fail'} the run`, told.length - failing && `${number(told.length - failing)} listed`].filter(Boolean).join(', ');
  section.append(el('div', { class: 'section-head' }, el('h2', { id: 'findings-title' }, 'Findings'), el('span', { class: 'muted' }, about)));
  if (!told.length) section.append(el('p', { class: 'all-good' }, icon('check'), 'Nothing to tell: every request went as it should.'));
  let opened = 0;
  inPieces(told, (finding) => findingCard(finding, finding.severity === 'error' && opened++ < OPEN_FINDINGS), section, FIRST_FINDINGS);
  if (data.mode === 'replay' && unused) {
    section.append(el('p', { class: 'more muted' }, `${many(unused, 'entry', 'entries')} answered nothing: `, el('a', { href: '#fixtures' }, 'see the fixtures'), '.'));
  }
}
