// Pictures: meters, spectra before and after, the histogram of the calls, the parts of the latency.

const SILENCE_DB = -60, LESS_DB = 40;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const SLOW_MS = 1000; // without motion, pictures change once a second

const meters = {};
function meter(id, label, least, most, less) {
  const rms = make("div", { class: "rms" }), peak = make("div", { class: "peak" });
  const bar = make("div", { class: "bar", role: "meter", "aria-label": label,
    "aria-valuemin": least, "aria-valuemax": most }, peak, rms);
  const output = make("output", {}, "–");
  const node = make("div", { class: less ? "meter less" : "meter" }, make("span", {}, label), bar,
    output);
  $("meters").append(node);
  meters[id] = { node, bar, rms, peak, output, least, most, written: 0 };
}
meter("dry", "In", SILENCE_DB, 0);
meter("wet", "Out", SILENCE_DB, 0);
meter("less", "Reduction", 0, LESS_DB, true);

function level(id, rms_db, peak_db, text) {
  const m = meters[id];
  const share = (db) => Math.min(1, Math.max(0, (db - m.least) / (m.most - m.least)));
  m.rms.style.transform = `scaleX(${share(rms_db)})`;
  m.peak.style.transform = `scaleX(${share(peak_db)})`;
  m.node.classList.toggle("hot", id !== "less" && peak_db >= 0);
  if (performance.now() - m.written < 200) return;
  m.written = performance.now();
  m.output.textContent = text;
  m.bar.setAttribute("aria-valuenow", Math.round(Math.min(m.most, Math.max(m.least, rms_db))));
  m.bar.setAttribute("aria-valuetext", text);
}

export function levels(now) {
  const named = (db) => (db <= -120 ? "silent" : `${db.toFixed(1)} dB`);
  level("dry", now.dry_rms, now.dry_peak, named(now.dry_peak));
  level("wet", now.wet_rms, now.wet_peak, named(now.wet_peak));
  const less = now.reduction;
  level("less", less ?? 0, less ?? 0, less === null ? "–" : `${less.toFixed(1)} dB`);
}

export function noLevels() {
  for (const id of Object.keys(meters)) {
    meters[id].written = 0;
    level(id, -200, -200, "–");
  }
}

// The colours of a level, black to white by way of violet and orange, of even lightness.
const STOPS = [[0, 0, 4], [40, 17, 89], [114, 31, 129], [183, 55, 121], [241, 96, 93],
  [254, 159, 109], [254, 207, 146], [252, 253, 191]];
const COLOURS = Array.from({ length: 256 }, (_, at) => {
  const place = (at / 255) * (STOPS.length - 1), low = Math.min(STOPS.length - 2, Math.floor(place));
  return STOPS[low].map((c, i) => Math.round(c + (place - low) * (STOPS[low + 1][i] - c)));
});
const WIDTH = 400; // columns that are seen
const MARKS_HZ = [100, 500, 1000, 2000, 5000, 10000, 20000];

class Spectrum {
  constructor(id, label) {
    this.canvas = make("canvas", { id, role: "img", "aria-label": label, width: WIDTH, height: 1 });
    this.axis = make("div", { class: "axis", "aria-hidden": "true" });
    this.name = label;
    $("spectra").append(make("div", { class: "spectrum" }, make("h3", {}, label), this.axis,
      this.canvas));
    this.context = this.canvas.getContext("2d");
    this.waiting = [];
  }
  begin(form) {
    this.bands = form.bands_hz.length;
    this.canvas.height = this.bands;
    this.context.fillRect(0, 0, WIDTH, this.bands);
    const seconds = WIDTH / form.columns_per_s;
    this.canvas.setAttribute("aria-label", `${this.name}, the last ${Math.round(seconds)} seconds`);
    this.axis.replaceChildren(...MARKS_HZ.filter((hz) => hz < form.bands_hz.at(-1)).map((hz) => {
      const at = form.bands_hz.findIndex((each) => each >= hz);
      const mark = make("span", {}, hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`);
      mark.style.bottom = `${(100 * at) / this.bands}%`;
      return mark;
    }));
  }
  add(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    for (let at = 0; at < bytes.length; at += this.bands) {
      this.waiting.push(bytes.subarray(at, at + this.bands));
    }
    if (this.waiting.length > WIDTH) this.waiting = this.waiting.slice(-WIDTH);
  }
  draw() {
    const n = this.waiting.length;
    if (!n) return;
    this.context.drawImage(this.canvas, -n, 0);
    const image = this.context.createImageData(n, this.bands);
    this.waiting.forEach((column, x) => column.forEach((value, band) => {
      const at = 4 * ((this.bands - 1 - band) * n + x), [r, g, b] = COLOURS[value];
      image.data.set([r, g, b, 255], at);
    }));
    this.context.putImageData(image, WIDTH - n, 0);
    this.waiting = [];
  }
}
const before = new Spectrum("before", "Before"), after = new Spectrum("after", "After");
let drawn = 0, formed = false;

export function form(axes) {
  formed = true;
  before.begin(axes);
  after.begin(axes);
}

export function noSpectra() { formed = false; }

export function sound(now) {
  if (!formed) return;
  before.add(now.before);
  after.add(now.after);
  if (still.matches && performance.now() - drawn < SLOW_MS) return;
  drawn = performance.now();
  requestAnimationFrame(() => { before.draw(); after.draw(); });
  levels(now.levels);
}

// How long the calls took, against their deadline.
export function callTimes(times) {
  const canvas = $("histogram"), ratio = devicePixelRatio || 1;
  const width = (canvas.width = Math.round(canvas.clientWidth * ratio));
  const height = (canvas.height = Math.round(canvas.clientHeight * ratio));
  const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => {
    canvas.style.color = `var(--${name})`;
    return getComputedStyle(canvas).color;
  };
  context.font = `${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  const text = times === null ? "The calls have no deadline." :
    `${times.over} of the last ${times.calls} calls took longer than their deadline of ` +
    `${times.deadline_ms.toFixed(1)} ms; the longest took ${times.longest_ms.toFixed(2)} ms.`;
  $("calls-text").textContent = text;
  $("calls").textContent = times === null ? "" : `median ${times.median_ms.toFixed(2)} ms`;
  canvas.setAttribute("aria-label", `Times of the calls. ${text}`);
  if (times === null) return;
  const base = height - 16 * ratio, most = Math.max(...times.counts);
  const bin = width / times.counts.length, deadline = width / times.widest;
  times.counts.forEach((count, at) => {
    const high = count ? Math.max(2 * ratio, (base - 4) * Math.log1p(count) / Math.log1p(most)) : 0;
    context.fillStyle = colour((at + 0.5) * bin > deadline ? "bad" : "accent");
    context.fillRect(at * bin + 1, base - high, Math.max(1, bin - 2), high);
  });
  context.fillStyle = colour("line");
  context.fillRect(0, base, width, ratio);
  context.fillStyle = colour("bad");
  context.fillRect(deadline, 0, 2 * ratio, base);
  context.textAlign = "right";
  context.fillText("deadline", deadline - 5 * ratio, 13 * ratio);
  context.fillStyle = colour("soft");
  context.textAlign = "left";
  context.fillText("0 ms", 0, height - 3 * ratio);
  context.textAlign = "center";
  context.fillText(`${times.deadline_ms.toFixed(1)}`, deadline, height - 3 * ratio);
}

export function latency(parts) {
  const known = Object.entries(parts);
  const total = known.reduce((sum, [, ms]) => sum + (ms ?? 0), 0);
  $("latency").textContent = `${total.toFixed(1)} ms`;
  $("parts").replaceChildren(...known.map(([, ms], at) => {
    const part = make("i", { class: `c${at % 6}` });
    part.style.flexGrow = ms ?? 0;
    return part;
  }));
  $("parts-list").replaceChildren(...known.map(([name, ms], at) => make("li", {},
    make("i", { class: `c${at % 6}` }), `${name} ${ms === null ? "unknown" : `${ms.toFixed(1)} ms`}`)));
}
