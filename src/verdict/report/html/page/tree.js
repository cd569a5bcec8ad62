
// A JSON value as a tree that folds; what is folded is not made yet.

const FIRST_KIDS = 100;
const OPEN_DEPTH = 2;
/** How many lines one press of "Expand all" makes, and for how many matches a search opens what holds them at once. */
const MOST_LINES_UNFOLDED = 5000;
const MOST_MATCHES_OPENED = 300;

const isContainer = (node) => node.kind === 'object' || node.kind === 'array';

const kidsOf = (node) => (node.kind === 'object'
  ? node.members.map((member) => ({ key: member.raw, node: member.node }))
  : node.kind === 'array' ? node.items.map((item) => ({ key: null, node: item })) : []);

const holdsDifference = (node) => node.differs || node.holds;

/** The whole tree; `hasTools` if there is something to fold. */
function jsonTree(root, hasTools = true) {
  const tree = { rows: new Map(), pattern: null, matches: [], holding: new Set(), space: el('div', { class: 'tree' }) };
  const draw = () => {
    tree.rows.clear();
    tree.space.replaceChildren(branch(tree, { key: null, node: root }, 0));
  };
  draw();
  return hasTools && kidsOf(root).length ? el('div', {}, treeTools(tree, root, draw), tree.space) : tree.space;
}

/** Buttons that fold all, and a search that opens and marks its matches. */
function treeTools(tree, root, draw) {
  const told = el('span', { class: 'muted', role: 'status' });
  const input = el('input', { type: 'search', placeholder: 'Search', 'aria-label': 'Search this JSON', autocomplete: 'off', spellcheck: 'false' });
  let at = -1;
  const go = (step) => {
    const { matches } = tree;
    if (!matches.length) return;
    tree.space.querySelector('.current-match')?.classList.remove('current-match');
    at = (at + step + matches.length) % matches.length;
    const row = revealed(tree, matches[at]);
    const line = row.tagName === 'DETAILS' ? row.firstChild : row;
    line.classList.add('current-match');
    line.scrollIntoView({ block: 'nearest' });
    told.textContent = `${number(at + 1)} of ${number(matches.length)}`;
  };
  input.addEventListener('input', () => {
    findMatches(tree, root, input.value);
    draw();
    at = -1;
    told.textContent = input.value && !tree.matches.length ? 'no match' : '';
    go(1);
  });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') go(event.shiftKey ? -1 : 1);
    else if (event.key === 'Escape' && input.value) {
      input.value = '';
      input.dispatchEvent(new Event('input'));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const expand = () => { told.textContent = unfoldAll(tree) ? '' : 'more: press again'; };
  const collapse = () => {
    for (const fold of tree.space.querySelectorAll('details details')) fold.open = false;
    told.textContent = '';
  };
  return el('div', { class: 'tree-tools' }, input, told, el('button', { type: 'button', class: 'push', onclick: expand }, 'Expand all'),
    el('button', { type: 'button', onclick: collapse }, 'Collapse all'));
}

/** Opens folds, those that are made by it too; `false` if some stay closed because they have too many lines. */
function unfoldAll({ rows, space }) {
  const most = rows.size + MOST_LINES_UNFOLDED;
  for (;;) {
    const closed = space.querySelectorAll('details:not([open])');
    if (!closed.length) return true;
    for (const fold of closed) {
      if (rows.size >= most) return false;
      unfold(fold);
    }
  }
}

/** Finds the values whose name or text has these words, in their order. Each match knows the values around it. */
function findMatches(tree, root, words) {
  Object.assign(tree, { pattern: words ? new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'giu') : null, matches: [], holding: new Set() });
  if (!words) return;
  const has = (found) => found.search(tree.pattern) >= 0;
  const visit = ({ key, node }, above) => {
    const match = { node, above };
    if ((key !== null && (has(key) || has(JSON.parse(key)))) || (!isContainer(node) && (has(node.raw) || has(String(node.value))))) tree.matches.push(match);
    for (const kid of kidsOf(node)) visit(kid, match);
  };
  visit({ key: null, node: root }, null);
  for (const match of tree.matches.slice(0, MOST_MATCHES_OPENED)) {
    for (let { above } = match; above && !tree.holding.has(above.node); above = above.above) tree.holding.add(above.node);
  }
}

/** The row of a match, which is made if it is not there yet. */
function revealed({ rows }, match) {
  const path = [];
  for (let { above } = match; above; above = above.above) path.unshift(above.node);
  path.forEach((node, at) => {
    const fold = rows.get(node);
    unfold(fold);
    const kid = path[at + 1] || match.node;
    while (!rows.has(kid)) fold.querySelector(':scope > .kids > .more').click();
  });
  return rows.get(match.node);
}

function branch(tree, { key, node }, depth) {
  const sign = node.differs && el('span', { class: 'sign', 'aria-label': node.differs === 'alone' ? 'only here: ' : 'differs: ' },
    node.differs === 'alone' ? '+' : '≠');
  const apart = node.differs ? ' differs' : '';
  const name = key === null ? null : el('span', { class: 'name' }, el('span', { class: 'key' }, withMatches(tree, key) || text(key)), ': ');
  const made = (row) => {
    tree.rows.set(node, row);
    return row;
  };
  if (!isContainer(node)) {
    return made(el('div', { class: `leaf${apart}` }, sign, name, el('span', { class: node.kind }, withMatches(tree, node.raw, node.value) || scalar(node))));
  }
  const kids = kidsOf(node);
  const [begin, end] = node.kind === 'object' ? '{}' : '[]';
  if (kids.length === 0) return made(el('div', { class: `leaf${apart}` }, sign, name, begin + end));
  const summary = el('summary', { class: apart.trim(), title: many(kids.length, node.kind === 'object' ? 'member' : 'item') }, sign, name,
    el('span', { class: 'unfolded' }, begin), node.kind === 'array' && el('span', { class: 'folded length' }, `(${number(kids.length)})`), el('span', { class: 'folded' }, text(preview(node))));
  const holds = (kid) => holdsDifference(kid) || tree.holding.has(kid);
  const open = holds(node) || (depth < OPEN_DEPTH && kids.length <= FIRST_KIDS);
  return made(folding({}, summary, () => {
    const list = inPieces(kids, (kid) => branch(tree, kid, depth + 1), el('div', { class: 'kids' }), firstKids(kids, holds));
    list.querySelector(':scope > .more')?.classList.add('more-kids');
    return [list, el('div', { class: 'leaf' }, end)];
  }, open));
}

/** As many as are shown at first: at least those that differ or match. */
function firstKids(kids, holds) {
  const last = kids.findLastIndex((kid) => holds(kid.node));
  return Math.max(FIRST_KIDS, Math.min(last + 1, 10 * FIRST_KIDS));
}

function scalar(node) {
  if (!node.other || node.kind !== 'string' || node.other.kind !== 'string') return text(node.raw);
  return apart(node.raw, node.other.raw);
}

/** Text with what the search found marked; `null` without a match. A match by its decoded value marks all of it. */
function withMatches({ pattern }, raw, value = undefined) {
  if (!pattern) return null;
  const parts = [];
  let at = 0;
  for (const { 0: found, index } of raw.matchAll(pattern)) {
    parts.push(text(raw.slice(at, index)), el('mark', { class: 'match' }, text(found)));
    at = index + found.length;
  }
  if (at > 0) return [...parts, text(raw.slice(at))];
  const decoded = value ?? (raw.startsWith('"') ? JSON.parse(raw) : raw);
  return String(decoded).search(pattern) >= 0 ? el('mark', { class: 'match' }, text(raw)) : null;
}
