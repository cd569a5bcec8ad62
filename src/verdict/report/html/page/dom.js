
// Elements. Whatever comes from the run gets into the page here, as text.

/** An element: `props` are its class, text, handlers (`on…`) and attributes; `null` children are left out. */
function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// C0 and C1 but for tab and line ends, marks of direction, what has no width, halves of pairs.
const CONTROLS = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Cs}/gu;

/** Text of the run. Characters that show as nothing, or turn what is around them, are named. */
function text(value) {
  const plain = String(value);
  if (plain.search(CONTROLS) < 0) return document.createTextNode(plain);
  const parts = document.createDocumentFragment();
  let at = 0;
  for (const { 0: control, index } of plain.matchAll(CONTROLS)) {
    parts.append(plain.slice(at, index));
    const code = `U+${control.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
    parts.append(el('span', { class: 'control', 'data-code': code, title: code }, control));
    at = index + control.length;
  }
  parts.append(plain.slice(at));
  return parts;
}

/** Text with `code` in backticks. */
function prose(value) {
  return String(value).split(/(`[^`]+`)/).map((part) => (
    part.length > 2 && part.startsWith('`') && part.endsWith('`') ? el('code', {}, text(part.slice(1, -1))) : text(part)));
}

const SHAPES = {
  check: ['M3.500 8.500l3 3 6-7'], cross: ['M4.200 4.200l7.600 7.600', 'M11.800 4.200l-7.600 7.600'],
  slash: ['M8 2.200a5.800 5.800 0 1 0 0 11.600a5.800 5.800 0 1 0 0-11.600', 'M4 12l8-8'],
  warn: ['M8 2.300L14.200 13H1.800z', 'M8 6.500v3', 'M8 11.200v.1'],
  home: ['M2.500 7.500L8 2.800l5.500 4.700', 'M4 7v6h8V7'], globe: ['M8 2.200a5.800 5.800 0 1 0 0 11.600a5.800 5.800 0 1 0 0-11.600', 'M2.200 8h11.600', 'M8 2.200c-3.400 3.600-3.400 8 0 11.600c3.400-3.600 3.400-8 0-11.600'],
  dot: ['M8 4.500a3.500 3.500 0 1 0 0 7a3.500 3.500 0 1 0 0-7'], arrow: ['M2.500 8h10.500', 'M9.500 4.500L13 8l-3.500 3.500'],
  tunnel: ['M2.500 5.500h11', 'M2.500 10.500h11', 'M11 3l2.500 2.500L11 8', 'M5 8l-2.500 2.500L5 13'],
  minus: ['M3.500 8h9'], shield: ['M8 2l5 2v4c0 3-2 5-5 6c-3-1-5-3-5-6V4z'],
  copy: ['M5.500 5.500h7.500v7.500H5.500z', 'M10.500 5.500V3H3v7.500h2.500'], search: ['M7 2.800a4.200 4.200 0 1 0 0 8.400a4.200 4.200 0 1 0 0-8.400', 'M10.200 10.200l3.300 3.300'],
  chevron: ['M6 3.500L10.500 8L6 12.500'], up: ['M8 13V3.500', 'M4 7.500l4-4 4 4'], down: ['M8 3v9.500', 'M4 8.500l4 4 4-4'],
  sun: ['M8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6', 'M8 1.500v1.200M8 13.300v1.200M1.500 8h1.200M13.300 8h1.200M3.400 3.400l.9.9M11.700 11.700l.9.9M3.400 12.600l.9-.9M11.700 4.300l.9-.9'],
  moon: ['M13 9.600A5.600 5.600 0 0 1 6.400 3a5.600 5.600 0 1 0 6.600 6.600z'], auto: ['M8 2.200a5.800 5.800 0 1 0 0 11.600a5.800 5.800 0 1 0 0-11.600', 'M8 2.200v11.600', 'M8 5h4.800M8 8h5.800M8 11h4.800'],
  keys: ['M1.800 4h12.400v8H1.800z', 'M4.500 6.500v.1M7 6.500v.1M9.500 6.500v.1M12 6.500v.1M5 9.500h6'], bulb: ['M6 13.500h4', 'M8 2a4 4 0 0 0-2.300 7.300c.5.400.8.900.8 1.700h3c0-.8.300-1.300.8-1.700A4 4 0 0 0 8 2z'],
  sort: ['M8 13V3.500', 'M4 7.500l4-4 4 4'],
};

/** A drawing that says nothing by itself. */
function icon(name, more = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  for (const [attribute, value] of [['viewBox', '0 0 16 16'], ['aria-hidden', 'true'], ['class', `icon ${more}`]]) svg.setAttribute(attribute, value);
  for (const d of SHAPES[name]) {
    const path = document.createElementNS(svg.namespaceURI, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}

/** Says something to who hears the page. */
function say(words) {
  byId('heard').textContent = words;
}

/** Where a page may not use the clipboard (a frame, `file:` in some browsers), a selection will do. */
async function toClipboard(value) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    const area = el('textarea', { class: 'only-heard', 'aria-hidden': 'true' });
    area.value = value;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }
}

/** A button that copies what `value` gives. */
function copyButton(what, value) {
  const button = el('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${what}`, title: `Copy ${what}` }, icon('copy'));
  button.addEventListener('click', async (event) => {
    event.preventDefault();
    event.stopPropagation();
    const focused = document.activeElement;
    const copied = await toClipboard(value());
    focused?.focus();
    say(copied ? `Copied ${what}` : 'This browser does not let the page copy');
    button.classList.toggle('done', copied);
    button.replaceChildren(icon(copied ? 'check' : 'cross'));
    setTimeout(() => { button.replaceChildren(icon('copy')); button.classList.remove('done'); }, 1500);
  });
  return button;
}

/** A `<details>` whose content is made when it is first opened. */
function folding(props, summary, content, open = false) {
  const fold = el('details', { ...props, open }, summary);
  const fill = () => { if (fold.open && fold.childElementCount === 1) fold.append(...[content()].flat()); };
  fold.addEventListener('toggle', fill);
  fill();
  return fold;
}

/** Opens a fold and makes its content at once; the event of the browser comes later. */
function unfold(fold) {
  if (fold.open) return;
  fold.open = true;
  fold.dispatchEvent(new Event('toggle'));
}

/** Buttons of which one is pressed. */
function modes(label, names, chosen, choose) {
  const buttons = names.map((name) => el('button', {
    type: 'button', 'aria-pressed': String(name === chosen),
    onclick: (event) => {
      for (const button of buttons) button.setAttribute('aria-pressed', String(button === event.currentTarget));
      choose(name);
    },
  }, name));
  return el('span', { class: 'modes', role: 'group', 'aria-label': label }, buttons);
}

/** What is long is made a piece at a time: the first, and a button for more. */
function inPieces(list, make, into, first, step = first * 5) {
  let shown = 0;
  const more = el('button', { type: 'button', class: 'button more' });
  const show = (count) => {
    const pieces = list.slice(shown, shown + count).map(make);
    shown += pieces.length;
    more.before(...pieces);
    if (shown >= list.length) more.remove();
    more.textContent = `Show ${Math.min(step, list.length - shown).toLocaleString('en')} more of ${list.length.toLocaleString('en')}`;
    return pieces[0];
  };
  more.addEventListener('click', () => {
    const hadFocus = document.activeElement === more;
    const piece = show(step);
    // A search that shows more keeps the focus.
    if (hadFocus) (piece?.querySelector('summary, a, button') || piece)?.focus?.();
  });
  into.append(more);
  show(first);
  return into;
}
