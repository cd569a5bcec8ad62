
// A JSON value as a tree that folds; what is folded is not made yet.

const FIRST_KIDS = 100;
const OPEN_DEPTH = 2;

const kidsOf = (node) => (node.kind === 'object'
  ? node.members.map((member) => ({ key: member.raw, node: member.node }))
  : node.items.map((item) => ({ key: null, node: item })));

const holdsDifference = (node) => node.differs || node.holds;

/** The whole tree. */
function jsonTree(root) {
  return el('div', { class: 'tree' }, branch({ key: null, node: root }, 0));
}

function branch({ key, node }, depth) {
  const sign = node.differs && el('span', { class: 'sign', 'aria-label': node.differs === 'alone' ? 'only here: ' : 'differs: ' },
    node.differs === 'alone' ? '+' : '≠');
  const apart = node.differs ? ' differs' : '';
  const name = key === null ? null : [el('span', { class: 'key' }, text(key)), ': '];
  if (node.kind !== 'object' && node.kind !== 'array') {
    return el('div', { class: `leaf${apart}` }, sign, name, el('span', { class: node.kind }, scalar(node)));
  }
  const kids = kidsOf(node);
  const [begin, end] = node.kind === 'object' ? '{}' : '[]';
  if (kids.length === 0) return el('div', { class: `leaf${apart}` }, sign, name, begin + end);
  const count = many(kids.length, node.kind === 'object' ? 'member' : 'item');
  const summary = el('summary', { class: apart.trim() }, sign, name, begin, el('span', { class: 'folded' }, ` ${count} ${end}`));
  const open = holdsDifference(node) || (depth < OPEN_DEPTH && kids.length <= FIRST_KIDS);
  return folding({}, summary, () => {
    const list = inPieces(kids, (kid) => branch(kid, depth + 1), el('div', { class: 'kids' }), firstKids(kids));
    list.querySelector(':scope > .more')?.classList.add('more-kids');
    return [list, el('div', { class: 'leaf' }, end)];
  }, open);
}

/** As many as are shown at first: at least those that differ. */
function firstKids(kids) {
  const last = kids.findLastIndex((kid) => holdsDifference(kid.node));
  return Math.max(FIRST_KIDS, Math.min(last + 1, 10 * FIRST_KIDS));
}

function scalar(node) {
  if (!node.other || node.kind !== 'string' || node.other.kind !== 'string') return text(node.raw);
  return apart(node.raw, node.other.raw);
}
