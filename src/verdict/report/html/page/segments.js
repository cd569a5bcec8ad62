
// Payloads that consist of segments: the events of an event stream, and the parts of a multipart payload.

/** How deep multipart payloads are shown in each other. */
const DEEPEST_SEGMENT = 4;

/** The segments of a payload, each `{name, key, facts, payload, isWhole}`; `null` if it has none. Counterparts have one key. */
function segmentsOf(payload) {
  if (!payload || (payload.depth || 0) >= DEEPEST_SEGMENT) return null;
  if (payload.segments === undefined) {
    const isStream = essence(payload.mime) === 'text/event-stream' && payload.text !== undefined;
    const found = isStream ? eventsOf(payload.text) : essence(payload.mime).startsWith('multipart/') ? partsOf(payload) : [];
    for (const segment of found) segment.payload.depth = (payload.depth || 0) + 1;
    payload.segments = found.length ? found : null;
  }
  return payload.segments;
}

/** Events as the HTML Standard (9.2.6) reads them. Blocks without data are listed too, such as comments. */
function eventsOf(stream) {
  const lines = stream.replace(/^\ufeff/, '').split(/\r\n|\n|\r/);
  const events = [];
  let event = null;
  // An event is whole if a blank line ends it. The last item of the split is the text after the last line end.
  lines.forEach((line, at) => {
    if (line === '') {
      if (event) event.isWhole = at < lines.length - 1;
      event = null;
      return;
    }
    if (!event) events.push(event = { name: null, facts: [], data: [], isWhole: false });
    const [, name, value] = /^([^:]*)(?:: ?([^]*))?$/.exec(line);
    if (name === 'data') event.data.push(value ?? '');
    else if (name === 'event') event.name = value ?? '';
    else event.facts.push([name || 'comment', value ?? '']);
  });
  return events.map(({ name, facts, data: found, isWhole }) => ({
    name: name || (found.length ? 'message' : 'no data'), key: JSON.stringify([name, facts, found]), facts, isWhole, payload: textPayload('', found.join('\n')),
  }));
}

function textPayload(mime, whole) {
  const size = new TextEncoder().encode(whole).length;
  return { mime, text: whole, size, kept: size };
}

/** Bytes as a string with one character for each. */
function binaryOf(payload) {
  if (payload.text === undefined) return atob(payload.bytes || '');
  const encoded = new TextEncoder().encode(payload.text);
  let binary = '';
  for (let at = 0; at < encoded.length; at += 8192) binary += String.fromCharCode(...encoded.subarray(at, at + 8192));
  return binary;
}

/** The text of bytes in UTF-8; `null` if they are none. */
function utf8Of(binary) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(binary, (byte) => byte.charCodeAt(0)));
  } catch {
    return null;
  }
}

/** The parts of a multipart payload (RFC 2046, 5.1.1). Without a parameter, the first line tells the boundary. */
function partsOf(payload) {
  const binary = binaryOf(payload);
  const boundary = parameter(payload.mime, 'boundary') ?? /^--([^\r\n]+)/.exec(binary)?.[1];
  if (!boundary) return [];
  const delimiter = new RegExp(`(?:^|\\r?\\n)--${boundary.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(--)?[ \\t]*(?=\\r?\\n|$)`, 'g');
  const parts = [];
  let begin = null;
  for (const { 0: mark, 1: isLast, index } of binary.matchAll(delimiter)) {
    if (begin !== null) parts.push(partOf(binary.slice(begin, index), true));
    begin = isLast ? null : index + mark.length;
    if (isLast) break;
  }
  if (begin !== null && begin < binary.length) parts.push(partOf(binary.slice(begin), false));
  return parts;
}

/** One part: its header fields follow the line end of the delimiter. */
function partOf(binary, isWhole) {
  const rest = binary.replace(/^\r?\n/, '');
  const blank = /^\r?\n|\r?\n\r?\n/.exec(rest);
  const head = blank ? rest.slice(0, blank.index) : rest;
  const content = blank ? rest.slice(blank.index + blank[0].length) : '';
  const fields = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/).filter((line) => line.includes(':')).map((line) => {
    const [name, value] = [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()];
    return [name, utf8Of(value) ?? value];
  });
  const valueOf = (name) => fields.find(([known]) => known.toLowerCase() === name)?.[1];
  const disposition = valueOf('content-disposition') || '';
  const mime = valueOf('content-type') ?? 'text/plain';
  const fileName = extendedParameter(disposition, 'filename') ?? parameter(disposition, 'filename');
  const others = fields.filter(([name]) => !['content-disposition', 'content-type'].includes(name.toLowerCase()));
  const plain = utf8Of(content);
  const whole = { mime, size: content.length, kept: content.length };
  if (plain !== null && !plain.includes('\0')) whole.text = plain;
  if (whole.text === undefined || mime.startsWith('image/')) whole.bytes = btoa(content);
  const name = parameter(disposition, 'name') ?? '';
  return {
    name, key: name, payload: whole, isWhole,
    facts: [fileName !== undefined && ['file', fileName], ['type', essence(mime)], ...others].filter(Boolean), size: content.length,
  };
}

/** A parameter of a header field, such as `boundary`. Browsers write a quote in a name as `%22`. */
function parameter(value, name) {
  const found = new RegExp(`;\\s*${name}\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s]*))`, 'i').exec(value);
  if (!found) return undefined;
  return found[1] === undefined ? found[2] : found[1].replace(/\\(["\\])/g, '$1').replace(/%22/g, '"');
}

/** A parameter in the form of RFC 8187: `filename*=UTF-8''a%20b`. */
function extendedParameter(value, name) {
  const encoded = new RegExp(`;\\s*${name}\\*\\s*=\\s*utf-8'[^']*'([^;\\s]*)`, 'i').exec(value)?.[1];
  if (encoded === undefined) return undefined;
  try { return decodeURIComponent(encoded); } catch { return undefined; }
}

const FIRST_SEGMENTS = 50;

/** Segments one below the other. `contents` and `marks` are those of a comparison. */
function segmentList(segments, contents = [], marks = []) {
  const list = segments.map((segment, at) => ({ segment, at }));
  const lastMarked = marks.findLastIndex(Boolean);
  return inPieces(list, ({ segment, at }) => segmentItem(segment, at, contents[at], marks[at]), el('ol', { class: 'segments' }),
    Math.max(FIRST_SEGMENTS, Math.min(lastMarked + 1, 10 * FIRST_SEGMENTS)));
}

function segmentItem({ name, facts, payload, size, isWhole }, at, content, mark) {
  const sign = mark && el('span', { class: 'sign', 'aria-label': mark === 'alone' ? 'only here: ' : 'differs: ' }, mark === 'alone' ? '+' : '≠');
  return el('li', { class: 'segment' },
    el('p', { class: `segment-head ${mark ? 'differs' : ''}` }, sign, el('span', { class: 'muted' }, number(at + 1)), el('b', {}, text(name)),
      facts.map(([fact, value]) => el('span', { class: 'fact-in' }, el('span', { class: 'muted' }, text(fact), ' '), text(value))),
      size === undefined ? null : el('span', { class: 'muted' }, bytes(size)), isWhole ? null : el('span', { class: 'tone-warn' }, 'incomplete')),
    payload.size === 0 ? null : content || views(payload)[0]?.[1]() || null);
}

/** Segments of two payloads side by side. Those between counterparts are compared if they have one name. */
function segmentsApart(left, right) {
  const content = ({ name, facts, payload }) => JSON.stringify([name, facts, payload.text ?? payload.bytes]);
  const sides = [left, right].map((segments) => ({ segments, at: new Map(segments.map((segment, at) => [segment, at])), contents: [], marks: [] }));
  const put = (side, segment, mark, shown) => {
    const at = sides[side].at.get(segment);
    sides[side].marks[at] = mark;
    sides[side].contents[at] = shown;
  };
  for (const [mine, theirs] of aligned(left, right, ({ key }) => key)) {
    if (mine && theirs && content(mine) === content(theirs)) continue;
    if (mine && theirs && mine.name === theirs.name) {
      const shown = bothShown(mine.payload, theirs.payload);
      put(0, mine, 'other', shown[0]);
      put(1, theirs, 'other', shown[1]);
    } else {
      if (mine) put(0, mine, 'alone');
      if (theirs) put(1, theirs, 'alone');
    }
  }
  return sides.map(({ segments, contents, marks }) => segmentList(segments, contents, marks));
}
