
// A payload: as a tree, as text, as fields, as an image, or as bytes.

const FIRST_TEXT = 20_000;

/** Parsed once; `null` where it is no JSON, or not all there. */
function jsonOf(payload) {
  if (!payload || payload.text === undefined || payload.kept < payload.size) return null;
  if (payload.json === undefined) {
    const like = /^\s*[[{"\d-]|^\s*(true|false|null)\s*$/.test(payload.text.slice(0, 200));
    payload.json = like ? parseJson(payload.text) : null;
  }
  return payload.json;
}

const isForm = (payload) => essence(payload.mime) === 'application/x-www-form-urlencoded' && payload.text !== undefined;
const isImage = (payload) => /^image\/[a-z0-9.+-]+$/.test(essence(payload.mime)) && payload.bytes !== undefined && payload.kept === payload.size;

/** The ways in which a payload can be shown, the best first. */
function views(payload) {
  const json = jsonOf(payload);
  return [
    isImage(payload) && ['Image', () => imageOf(payload)],
    json && ['Tree', () => jsonTree(json, !payload.depth)],
    segmentsOf(payload) && [essence(payload.mime) === 'text/event-stream' ? 'Events' : 'Parts', () => segmentList(segmentsOf(payload))],
    isForm(payload) && ['Fields', () => fieldList(pairs(payload.text))],
    payload.text !== undefined && ['Text', () => textOf(payload.text)],
    payload.text === undefined && payload.bytes !== undefined && ['Bytes', () => dump(payload)],
  ].filter(Boolean);
}

/** A payload with its type, its size and what there is of it. */
function payloadPanel(label, payload) {
  if (!payload) return el('p', { class: 'empty' }, `No ${label.toLowerCase()}.`);
  const ways = views(payload);
  const body = el('div', { class: 'payload-body', tabindex: '0', role: 'region', 'aria-label': label });
  const show = (name) => body.replaceChildren(ways.find(([known]) => known === name)[1]());
  if (ways.length) show(ways[0][0]);
  return el('div', { class: 'panel' },
    el('div', { class: 'panel-head' }, el('b', {}, label), el('span', { class: 'muted' }, text(essence(payload.mime)), ' · ', bytes(payload.size)),
      ways.length > 1 ? modes(`How to show the ${label.toLowerCase()}`, ways.map(([name]) => name), ways[0][0], show) : el('span', { class: 'push' }),
      payload.text === undefined ? null : copyButton(`the ${label.toLowerCase()}`, () => payload.text)),
    ways.length ? body : null, cutNote(payload));
}

/** What of a payload is not here, and why. */
function cutNote(payload) {
  const isShown = payload.text !== undefined || payload.bytes !== undefined;
  if (payload.size === 0) return null;
  if (!isShown) return el('p', { class: 'payload-note cut' }, `${bytes(payload.size)} that this report has no room for. The fixture has them.`);
  if (payload.kept < payload.size) return el('p', { class: 'payload-note cut' }, `Cut: the first ${bytes(payload.kept)} of ${bytes(payload.size)}.`);
  return null;
}

function textOf(whole) {
  const pre = el('pre', {}, text(whole.slice(0, FIRST_TEXT)));
  if (whole.length <= FIRST_TEXT) return pre;
  const box = el('div', {}, pre);
  box.append(el('button', { type: 'button', class: 'button more', onclick: () => box.replaceChildren(el('pre', {}, text(whole))) },
    `Show all ${number(whole.length)} characters`));
  return box;
}

function imageOf(payload) {
  const image = el('img', { alt: `The image, ${bytes(payload.size)}` });
  image.addEventListener('error', () => image.replaceWith(el('p', { class: 'muted' }, 'This browser can’t show it.')));
  image.src = `data:${essence(payload.mime)};base64,${payload.bytes}`;
  return image;
}

function dump(payload) {
  const bytesOf = atob(payload.bytes);
  const rows = [];
  for (let at = 0; at < Math.min(bytesOf.length, 1024); at += 16) {
    const row = [...bytesOf.slice(at, at + 16)];
    const hex = row.map((byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join(' ').padEnd(48);
    rows.push(`${at.toString(16).padStart(6, '0')}  ${hex} ${row.map((byte) => (/[ -~]/.test(byte) ? byte : '.')).join('')}`);
  }
  if (payload.size > 1024) rows.push(`… of ${number(payload.size)} bytes`);
  return el('pre', {}, rows.join('\n'));
}

/** Names and values, one below the other. */
function fieldList(list) {
  return el('dl', { class: 'fields' }, list.map(([name, value]) => el('div', {}, el('dt', {}, text(name)), el('dd', {}, text(value)))));
}

/** Header fields that fold. */
function headersPanel(numbers, open = true) {
  if (numbers === null || numbers === undefined) return el('p', { class: 'empty' }, 'Headers that this report has no room for.');
  if (!numbers.length) return el('p', { class: 'empty' }, 'No headers.');
  const list = fieldsOf(numbers);
  const copy = copyButton('the headers', () => list.map(([name, value]) => `${name}: ${value}`).join('\n'));
  return folding({ class: 'panel' }, el('summary', {}, icon('chevron', 'chevron'), el('b', {}, 'Headers'),
    el('span', { class: 'muted' }, number(list.length))), () => el('div', { class: 'cornered' }, fieldList(list), copy), open);
}
