
// What differs in two texts, by lines and within them.

/** The first text, with what the second has not marked. */
function apart(mine, other) {
  if (mine === other) return text(mine);
  let [start, end] = [0, 0];
  const least = Math.min(mine.length, other.length);
  while (start < least && mine[start] === other[start]) start += 1;
  while (end < least - start && mine[mine.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  // A pair of surrogates is one character.
  const splits = (at) => at > 0 && /[\udc00-\udfff]/.test(mine[at] || '') && /[\ud800-\udbff]/.test(mine[at - 1]);
  while (splits(start)) start -= 1;
  while (splits(mine.length - end)) end -= 1;
  const parts = document.createDocumentFragment();
  parts.append(text(mine.slice(0, start)));
  const middle = mine.slice(start, mine.length - end);
  if (middle) parts.append(el('mark', {}, text(middle)));
  parts.append(text(mine.slice(mine.length - end)));
  return parts;
}

const MOST_LINES = 2000;

/** Two texts as lines; those that differ are marked. */
function linesApart(left, right) {
  const [l, r] = [left, right].map((whole) => whole.split('\n').slice(0, MOST_LINES));
  const [mine, theirs] = [new Map(), new Map()];
  aligned(l.map((line, at) => ({ line, at })), r.map((line, at) => ({ line, at })), ({ line }) => line).forEach(([a, b]) => {
    if (a && a.line !== b?.line) mine.set(a.at, b?.line);
    if (b && b.line !== a?.line) theirs.set(b.at, a?.line);
  });
  const shown = (lines, differing) => el('pre', { class: 'lines' }, lines.map((line, at) => (differing.has(at)
    ? el('span', { class: 'differs' }, el('span', { class: 'sign', 'aria-label': 'differs: ' }, differing.get(at) === undefined ? '+' : '≠'),
      differing.get(at) === undefined ? text(line) : apart(line, differing.get(at)))
    : el('span', {}, text(line)))));
  return [shown(l, mine), shown(r, theirs)];
}
