
// The whole run on one axis: a bar a request, waiting lighter than receiving. A picture of what the table has in words.

const AXIS = 16;
const LANE = 9;

/** When the first request came and the last one ended: what comes before is CMD's own time. */
const [begin, span] = (() => {
  let [first, last] = [Infinity, 0];
  for (const request of data.requests) {
    first = Math.min(first, request.at);
    last = Math.max(last, request.at + (request.took ?? request.waited ?? 0));
  }
  const length = Math.max(1, last - first);
  return Number.isFinite(first) ? [Math.max(0, first - length * 0.01), length * 1.02] : [0, 1];
})();
/** Where a moment is on the axis, 0 to 1. */
const along = (at) => (at - begin) / span;

/** A lane for each request, so that no two overlap in one. */
function lanes() {
  const free = [];
  let most = 1;
  for (const request of [...data.requests].sort((a, b) => a.at - b.at)) {
    let lane = free.findIndex((end) => end <= request.at);
    if (lane < 0) lane = free.length < 60 ? free.length : request.index % 60;
    free[lane] = request.at + Math.max(request.took ?? 0, span / 1500);
    request.lane = lane;
    most = Math.max(most, lane + 1);
  }
  return most;
}

/** Round times for an axis. */
function ticks(width) {
  const about = span / Math.max(2, Math.floor(width / 130));
  const unit = 10 ** Math.floor(Math.log10(about));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((known) => known >= about);
  const found = [];
  for (let at = Math.ceil(begin / step) * step; at < begin + span; at += step) found.push(at);
  return found;
}

const axisLabel = (at) => (at === 0 ? '0' : at < 1000 ? `${+at.toPrecision(3)} ms` : at < 60_000 ? `${+(at / 1000).toPrecision(3)} s` : duration(at));

function timeline() {
  const canvas = el('canvas', { role: 'img', 'aria-label': `Timeline: ${many(data.requests.length, 'request')} in ${duration(span / 1.02)}. The table below has the same in words.` });
  const tip = el('div', { class: 'tip', hidden: true });
  const box = el('div', { class: 'timeline', 'aria-hidden': data.requests.length ? null : 'true' }, canvas, tip);
  const count = lanes();
  const probe = el('span', { hidden: true });
  box.append(probe);
  let colours = new Map();
  const colour = (name) => {
    if (!colours.has(name)) {
      probe.style.color = `var(--${name})`;
      colours.set(name, getComputedStyle(probe).color);
    }
    return colours.get(name);
  };
  const HEIGHT = Math.min(AXIS + 72, Math.max(AXIS + 30, AXIS + 8 + count * LANE));
  canvas.style.height = `${HEIGHT}px`;
  const laneHeight = () => Math.max(1, Math.min(LANE, (HEIGHT - AXIS - 6) / count));
  let brush = null;

  const draw = () => {
    const width = canvas.clientWidth;
    if (!width) return;
    colours = new Map();
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = HEIGHT * scale;
    const pen = canvas.getContext('2d');
    pen.scale(scale, scale);
    const x = (at) => along(at) * width;
    const wide = (time) => (time / span) * width;
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    for (const at of ticks(width)) {
      pen.fillStyle = colour('line-soft');
      pen.fillRect(Math.round(x(at)), AXIS, 1, HEIGHT - AXIS);
      pen.fillStyle = colour('muted');
      if (x(at) + 44 < width) pen.fillText(axisLabel(at), x(at) + 4, 11);
    }
    const height = laneHeight();
    const shown = new Set(currentOrder());
    const failing = [];
    for (const request of data.requests) {
      const [left, y] = [x(request.at), AXIS + 5 + request.lane * height];
      const waited = wide(request.waited ?? request.took ?? 0);
      const all = Math.max(2, wide(request.took ?? request.waited ?? 0));
      pen.fillStyle = colour(TONES[outcome(request.outcome).tone]);
      pen.globalAlpha = shown.has(request) ? 0.45 : 0.1;
      pen.fillRect(left, y, all, Math.max(1, height - 1));
      pen.globalAlpha = shown.has(request) ? 1 : 0.12;
      const from = Math.min(waited, all - 2);
      pen.fillRect(left + from, y, all - from, Math.max(1, height - 1));
      if (isFailing(request)) failing.push([left, shown.has(request)]);
    }
    // Not by colour alone.
    for (const [left, isShown] of failing.slice(0, 2000)) {
      pen.globalAlpha = isShown ? 1 : 0.2;
      pen.fillStyle = colour('bad');
      pen.beginPath();
      pen.moveTo(left - 3.5, AXIS - 2);
      pen.lineTo(left + 3.5, AXIS - 2);
      pen.lineTo(left, AXIS + 4);
      pen.fill();
    }
    pen.globalAlpha = 1;
    const window_ = brush || (state.from === null ? null : [x(state.from), x(state.to)]);
    if (window_) {
      const [from, to] = [Math.min(...window_), Math.max(...window_)];
      pen.globalAlpha = 0.12;
      pen.fillStyle = colour('accent');
      pen.fillRect(from, 0, to - from, HEIGHT);
      pen.globalAlpha = 1;
      pen.fillRect(from, 0, 1, HEIGHT);
      pen.fillRect(to, 0, 1, HEIGHT);
    }
  };

  const under = ({ offsetX, offsetY }) => {
    const [at, lane] = [begin + (offsetX / canvas.clientWidth) * span, (offsetY - AXIS - 5) / laneHeight()];
    const near = (span / canvas.clientWidth) * 4;
    let [best, distance] = [null, Infinity];
    for (const request of data.requests) {
      if (at < request.at - near || at > request.at + (request.took ?? 0) + near) continue;
      const away = Math.abs(request.lane + 0.5 - lane);
      if (away < distance) [best, distance] = [request, away];
    }
    return best;
  };
  canvas.addEventListener('pointermove', (event) => {
    if (brush) {
      brush[1] = event.offsetX;
      draw();
      return;
    }
    const request = under(event);
    tip.hidden = !request;
    if (!request) return;
    tip.replaceChildren(`${outcome(request.outcome).word} · ${duration(request.took)} · `, text(`${request.method} ${urlParts(request.url).path}`));
    tip.style.left = `${Math.min(event.offsetX + 12, canvas.clientWidth * 0.6)}px`;
  });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || event.pointerType === 'touch') return;
    canvas.setPointerCapture(event.pointerId);
    brush = [event.offsetX, event.offsetX];
  });
  canvas.addEventListener('pointerup', (event) => {
    const [from, to] = brush ? [Math.min(...brush), Math.max(...brush)] : [0, 0];
    brush = null;
    if (to - from > 5) {
      Object.assign(state, { from: begin + Math.max(0, from / canvas.clientWidth) * span, to: begin + (to / canvas.clientWidth) * span });
      changed();
      return;
    }
    draw();
    const request = under(event);
    if (request) goTo(request.key);
  });
  canvas.addEventListener('pointercancel', () => { brush = null; draw(); });
  new ResizeObserver(draw).observe(canvas);
  return { box, draw };
}

const TONES = { good: 'good', bad: 'bad', warn: 'warn', blue: 'blue', purple: 'purple', teal: 'teal', grey: 'grey' };
