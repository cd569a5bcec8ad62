
// JSON as it was written: numbers with all their digits, members in order, names that come twice. And what differs in two.

const DEEPEST = 200;

/** A tree of `{kind, raw, value, members, items}`; `null` for what is no JSON. */
function parseJson(source) {
  let at = 0;
  const token = /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\x00-\x1f]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)|(true|false|null))[ \t\n\r]*/y;
  const next = () => {
    token.lastIndex = at;
    const found = token.exec(source);
    if (!found) throw new SyntaxError('no JSON');
    at = token.lastIndex;
    return found;
  };
  const list = (end, item) => {
    const found = [];
    const before = at;
    if (next()[1] === end) return found;
    at = before;
    for (;;) {
      found.push(item());
      const mark = next()[1];
      if (mark === end) return found;
      if (mark !== ',') throw new SyntaxError('no JSON');
    }
  };
  const value = (depth) => {
    if (depth > DEEPEST) throw new SyntaxError('too deep');
    const [, mark, string, digits, word] = next();
    if (string !== undefined) return { kind: 'string', raw: string, value: JSON.parse(string) };
    if (digits !== undefined) return { kind: 'number', raw: digits, value: Number(digits) };
    if (word !== undefined) return { kind: 'literal', raw: word, value: word };
    if (mark === '[') return { kind: 'array', items: list(']', () => value(depth + 1)) };
    if (mark !== '{') throw new SyntaxError('no JSON');
    const member = () => {
      const name = next()[2];
      if (name === undefined || next()[1] !== ':') throw new SyntaxError('no JSON');
      return { raw: name, name: JSON.parse(name), node: value(depth + 1) };
    };
    return { kind: 'object', members: list('}', member) };
  };
  try {
    const root = value(0);
    return at === source.length ? root : null;
  } catch {
    return null;
  }
}

/** What tells whether two values are equal: members in any order, numbers by what they mean where that is exact. */
function canonical(node) {
  if (node.canonical !== undefined) return node.canonical;
  const exact = (n) => Number.isFinite(n) && Math.abs(n) <= Number.MAX_SAFE_INTEGER;
  const make = {
    string: () => JSON.stringify(node.value),
    number: () => (exact(node.value) ? String(node.value) : node.raw),
    literal: () => node.raw,
    array: () => `[${node.items.map(canonical).join(',')}]`,
    object: () => `{${node.members.map((m) => `${JSON.stringify(m.name)}:${canonical(m.node)}`).sort().join(',')}}`,
  };
  node.canonical = make[node.kind]();
  return node.canonical;
}

const LONGEST_ALIGNED = 400;

/** Pairs of items that stand for each other: equal ones in order, and what lies between them one by one. */
function aligned(left, right, key) {
  const result = [];
  const between = (l, r) => {
    for (let n = 0; n < Math.max(l.length, r.length); n += 1) result.push([l[n], r[n]]);
  };
  if (left.length > LONGEST_ALIGNED || right.length > LONGEST_ALIGNED) {
    between(left, right);
    return result;
  }
  const [l, r] = [left.map(key), right.map(key)];
  const common = Array.from({ length: l.length + 1 }, () => new Uint16Array(r.length + 1));
  for (let i = l.length - 1; i >= 0; i -= 1) {
    for (let j = r.length - 1; j >= 0; j -= 1) {
      common[i][j] = l[i] === r[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  let [i, j, fromI, fromJ] = [0, 0, 0, 0];
  while (i < l.length && j < r.length) {
    if (l[i] === r[j]) {
      between(left.slice(fromI, i), right.slice(fromJ, j));
      result.push([left[i], right[j]]);
      i += 1; j += 1; fromI = i; fromJ = j;
    } else if (common[i + 1][j] >= common[i][j + 1]) i += 1;
    else j += 1;
  }
  between(left.slice(fromI), right.slice(fromJ));
  return result;
}

/** Marks what differs: `differs` on a value that has another or no counterpart, `holds` on what has such a one inside. */
function markDifferences(left, right) {
  if (canonical(left) === canonical(right)) return false;
  const alone = (node) => { node.differs = 'alone'; };
  const inside = (found) => found.map(([l, r]) => {
    if (l && r) return markDifferences(l, r);
    alone(l || r);
    return true;
  });
  if (left.kind === right.kind && left.kind === 'object') {
    const named = new Map(right.members.map((member) => [member.name, member.node]));
    const found = left.members.map((member) => {
      const other = named.get(member.name);
      named.delete(member.name);
      return [member.node, other];
    });
    inside([...found, ...[...named.values()].map((node) => [undefined, node])]);
  } else if (left.kind === right.kind && left.kind === 'array') {
    inside(aligned(left.items, right.items, canonical));
  } else {
    [left.differs, right.differs] = ['other', 'other'];
    [left.other, right.other] = [right, left];
    return true;
  }
  [left.holds, right.holds] = [true, true];
  return true;
}

const PREVIEW = 90;
const PREVIEW_STRING = 28;

/** The start of an object or array in one line: `{ id: 301, name: "Product 301", … }`. */
function preview(node) {
  const [begin, end] = node.kind === 'object' ? '{}' : '[]';
  const kids = node.kind === 'object' ? node.members : node.items.map((item) => ({ node: item }));
  const parts = [];
  for (let length = 0; parts.length < kids.length; length += parts[parts.length - 1].length + 2) {
    const { raw, node: kid } = kids[parts.length];
    const part = (raw === undefined ? '' : `${shortName(raw)}: `) + shortValue(kid);
    if (parts.length && length + part.length > PREVIEW) break;
    parts.push(part);
  }
  if (parts.length < kids.length) parts.push('…');
  return `${begin} ${parts.join(', ')} ${end}`;
}

const shortName = (raw) => (/^"[A-Za-z_$][\w$]*"$/.test(raw) && raw.length < PREVIEW_STRING ? raw.slice(1, -1) : shortString(raw));

function shortValue(node) {
  if (node.kind === 'object') return node.members.length ? '{…}' : '{}';
  if (node.kind === 'array') return node.items.length ? '[…]' : '[]';
  return node.kind === 'string' ? shortString(node.raw) : node.raw.slice(0, PREVIEW);
}

/** A string literal that is cut neither in an escape nor in a pair of surrogates. */
function shortString(raw) {
  if (raw.length <= PREVIEW_STRING) return raw;
  return `${raw.slice(0, PREVIEW_STRING).replace(/\\(u[0-9a-f]{0,3})?$|[\ud800-\udbff]$/i, '')}…"`;
}
