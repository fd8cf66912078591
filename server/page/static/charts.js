// Charts of a run as SVG, drawn anew at the size that they have. A bin is a row
// [key, used, asked, failed, closed, fastest, mean, slowest, fewest] of rounds key * width + 1 and on.
const SVG = "http://www.w3.org/2000/svg";
const EDGE = { left: 46, right: 10, top: 14, bottom: 24 };
const WIDE_BAR = 5;
export const [KEY, USED, ASKED, FAILED, CLOSED, FASTEST, MEAN, SLOWEST, FEWEST] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
export const count = (n) => plain.format(n);
export const amount = (n) => short.format(n);

function add(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// Steps of 1, 2 or 5 times a power of ten; whole: no smaller than 1.
function ticks(low, high, most, whole) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  if (whole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found;
}

function frame(host, { first, last, top, whole }) {
  const width = host.clientWidth, height = host.clientHeight;
  const svg = add(host, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const inner = width - EDGE.left - EDGE.right, base = height - EDGE.bottom;
  const steps = ticks(0, top, 5, whole);
  const high = Math.max(top, steps[steps.length - 1]) || 1;
  const x = (at) => EDGE.left + ((at - first) / Math.max(1e-9, last - first)) * inner;
  const y = (value) => base - (value / high) * (base - EDGE.top);
  for (const at of steps) {
    add(svg, "line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(at), y2: y(at) });
    add(svg, "text", { x: EDGE.left - 8, y: y(at) + 4, "text-anchor": "end" }, amount(at));
  }
  for (const at of ticks(first, last - 1, Math.max(3, inner / 80), true)) {
    const middle = Math.min(x(at + 0.5), width - EDGE.right - 8);
    add(svg, "text", { x: middle, y: height - 6, "text-anchor": "middle" }, count(at));
  }
  return { svg, x, y, base, width, first, last };
}

const bar = (left, right, from, to) => `M${left} ${from}H${right}V${to}H${left}Z`;

function bars(plot, bins, width, low, high) {
  return bins.filter((bin) => high(bin) > low(bin)).map((bin) => {
    let left = plot.x(bin[KEY] * width + 1), right = plot.x((bin[KEY] + 1) * width + 1);
    if (right - left > WIDE_BAR) { left += 1; right -= 1; }
    return bar(left.toFixed(1), right.toFixed(1), plot.y(low(bin)), plot.y(high(bin)));
  }).join("");
}

const middle = (plot, bin, width) => plot.x((bin[KEY] + 0.5) * width + 1);

export function drawUsed(host, bins, width) {
  const plot = frame(host, { ...reach(bins, width), top: Math.max(1, ...bins.map((b) => b[ASKED])), whole: true });
  add(plot.svg, "path", { class: "used", d: bars(plot, bins, width, () => 0, (b) => b[USED]) });
  add(plot.svg, "path", { class: "lost", d: bars(plot, bins, width, (b) => b[USED], (b) => b[ASKED]) });
  const failed = bins.filter((b) => b[FAILED]).map((b) => {
    const x = middle(plot, b, width);
    return `M${x - 5} 1h10l-5 9Z`;
  });
  add(plot.svg, "path", { class: "fail", d: failed.join("") });
  explain(host, { lost: bins.some((b) => b[USED] < b[ASKED]), fail: failed.length > 0 });
  return plot;
}

// One round that waits for a deadline would flatten all others: such rounds leave the scale, and
// a mark at the upper edge stands for them.
function ceiling(closed) {
  const sorted = closed.map((b) => b[MEAN]).sort((a, b) => a - b);
  const usual = sorted[Math.floor((sorted.length - 1) * 0.9)] ?? 0;
  const most = Math.max(0, ...closed.map((b) => b[SLOWEST]));
  return most > 4 * usual ? 2 * usual || most : most;
}

export function drawSeconds(host, bins, width) {
  const closed = bins.filter((b) => b[CLOSED]);
  const plot = frame(host, { ...reach(bins, width), top: ceiling(closed), whole: false });
  const at = (b) => middle(plot, b, width).toFixed(1);
  const y = (value) => Math.max(EDGE.top - 2, plot.y(value)).toFixed(1);
  if (width > 1 && closed.length) {
    const over = closed.map((b) => `${at(b)} ${y(b[SLOWEST])}`);
    const under = closed.map((b) => `${at(b)} ${y(b[FASTEST])}`).reverse();
    add(plot.svg, "path", { class: "band", d: `M${[...over, ...under].join("L")}Z` });
  }
  line(plot, closed.map((b) => [at(b), y(b[MEAN])]));
  const off = closed.filter((b) => plot.y(b[SLOWEST]) < EDGE.top - 2);
  add(plot.svg, "path", { class: "off", d: off.map((b) => `M${at(b) - 5} 10h10l-5 -9Z`).join("") });
  explain(host, { band: width > 1, off: off.length > 0 });
  return plot;
}

export function drawSteps(host, steps) {
  const top = Math.max(0, ...steps.map((s) => s[1]));
  const plot = frame(host, { first: 1, last: steps[steps.length - 1][0] + 1, top, whole: false });
  line(plot, steps.map(([round, norm]) => [plot.x(round + 0.5), plot.y(norm)]));
  return plot;
}

// The legend names what is in the picture.
function explain(host, shown) {
  for (const [name, there] of Object.entries(shown)) {
    host.parentElement.querySelector(`.key.${name}`).hidden = !there;
  }
}

function line(plot, points) {
  if (!points.length) return;
  add(plot.svg, "path", { class: "line", d: `M${points.map((p) => p.join(" ")).join("L")}` });
  const [x, y] = points[points.length - 1];
  add(plot.svg, "circle", { class: "point", cx: x, cy: y, r: 3.5 });
}

function reach(bins, width) {
  const last = bins.length ? (bins[bins.length - 1][KEY] + 1) * width : 1;
  return { first: 1, last: Math.max(last, 10) + 1 };
}

// A chart that redraws itself: `draw` makes the picture, `read` says what stands at a round.
export class Chart {
  constructor(host, readout, about) {
    Object.assign(this, { host, readout, about, pending: false, at: null });
    new ResizeObserver(() => this.later()).observe(host);
    host.addEventListener("pointermove", (event) => this.point(event));
    host.addEventListener("pointerleave", () => { this.at = null; this.later(); });
  }

  show(draw, read, label) {
    Object.assign(this, { draw, read });
    this.host.setAttribute("aria-label", label);
    this.later();
  }

  point(event) {
    if (!this.plot) return;
    const share = (event.offsetX - EDGE.left) / (this.plot.width - EDGE.left - EDGE.right);
    const { first, last } = this.plot;
    this.at = Math.floor(first + Math.min(1 - 1e-9, Math.max(0, share)) * (last - first));
    this.later();
  }

  later() {
    if (this.pending || !this.draw) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.now(); });
  }

  now() {
    if (!this.host.clientWidth) return;
    this.host.replaceChildren();
    this.plot = this.draw(this.host);
    const found = this.read(this.at);
    this.readout.textContent = found.text;
    if (this.at === null || found.at === undefined) return;
    const x = this.plot.x(found.at);
    add(this.plot.svg, "line", { class: "cursor", x1: x, x2: x, y1: EDGE.top, y2: this.plot.base });
  }
}
