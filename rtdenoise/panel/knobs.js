// What all parts of the page use: requests, and knobs, which show what the run reports.

export function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").firstElementChild.textContent = text || "";
}

// Asks for something, and returns the answer; a refusal is shown and is an error.
export async function ask(what, body = {}) {
  let reply;
  try {
    const answer = await fetch("do", { method: "POST", body: JSON.stringify({ do: what, ...body }) });
    const text = await answer.text();
    try { reply = JSON.parse(text); } catch { reply = { ok: false, error: text || `${answer.status}` }; }
  } catch {
    reply = { ok: false, error: "The panel does not answer: was it ended in its terminal?" };
  }
  if (reply.ok) { trouble(""); return reply.result; }
  if (reply.problem !== "exists") trouble(reply.error);
  throw Object.assign(new Error(reply.error), { problem: reply.problem });
}

// The same for a button, whose refusal is shown, and which waits for the answer. It stays in the
// order of the keyboard meanwhile.
export async function press(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try { await work(); } catch (error) { if (!("problem" in error)) trouble(`${error.message}`); }
  finally { button.removeAttribute("aria-busy"); }
}

// A file that exists is replaced if the user says so.
export async function writing(what, body) {
  try { return await ask(what, body); } catch (error) {
    if (error.problem !== "exists" || !confirm(`${error.message}\n\nReplace it?`)) {
      trouble(error.message);
      throw error;
    }
    return ask(what, { ...body, overwrite: true });
  }
}

export function fill(select, options, value = select.value) {
  const same = JSON.stringify(options);
  if (select.dataset.options !== same) {
    select.dataset.options = same;
    select.replaceChildren(...options.map(([name, text]) => make("option", { value: name }, text)));
  }
  if (options.some(([name]) => name === value)) select.value = value;
}

const QUIET_MS = 400; // time after the last touch in which what is reported does not move a knob

// Sends the last value that was asked for, one at a time, and then shows what the run has answered.
class Sender {
  constructor(send, show) {
    this.send = send;
    this.show = show;
    this.touched = 0;
    this.busy = false;
    this.next = null;
  }
  get held() { return this.busy || performance.now() - this.touched < QUIET_MS; }
  async push(value) {
    this.touched = performance.now();
    this.next = { value };
    if (this.busy) return;
    this.busy = true;
    while (this.next) {
      const { value: asked } = this.next;
      this.next = null;
      try { this.reported = await this.send(asked); } catch { /* it is shown */ }
    }
    this.busy = false;
    this.touched = 0;
    if (this.reported !== undefined) this.show(this.reported);
  }
}

// Where no limits are published, a slider covers the usual values; the number takes all.
const USUAL = { dB: [-60, 24], ms: [0, 1000], Hz: [20, 20000], s: [0, 10], "%": [0, 100],
  semitones: [-24, 24] };
const NAMED = { ratio: [1, 20], q: [0.1, 10], drive: [1, 20], drive_db: [0, 48], mix: [0, 1] };

function limits(row) {
  const usual = NAMED[row.name] || USUAL[row.unit] || [Math.min(0, row.value ?? 0),
    Math.max(1, 4 * (row.value ?? 1))];
  const low = row.least ?? Math.min(usual[0], row.value ?? usual[0]);
  const high = row.most ?? Math.max(usual[1], row.value ?? usual[1]);
  return [low, Math.max(high, low + 1e-6)];
}

const words = (name) => name.replace(/_(db|hz|ms|seconds|s)$/, "").replaceAll("_", " ");

export function rangeText(row) {
  const unit = row.unit ? ` ${row.unit}` : "";
  if (row.least === null && row.most === null) return "";
  if (row.most === null) return `${+row.least.toPrecision(4)}${unit} or more`;
  if (row.least === null) return `${row.most}${unit} or less`;
  return `${+row.least.toPrecision(4)} to ${row.most}${unit}`;
}

const short = (value) => `${+(+value).toPrecision(4)}`;

// A knob for a row of `parameters`: {name, value, least, most, unit, kind, choices}.
// `send(value)` returns what the run reports; `show(value)` is called with what it reports.
export function knob(id, row, send) {
  if (row.kind === "choice") return choice(id, row, send);
  if (row.kind === "bool") return check(id, row, send);
  return slider(id, row, send);
}

function choice(id, row, send) {
  const select = make("select", { id, onchange: () => sender.push(select.value) });
  fill(select, row.choices.map((name) => [name, name]), row.value);
  const sender = new Sender(send, (value) => { select.value = value; });
  const node = make("div", { class: "knob" }, make("label", { for: id }, words(row.name)), select);
  return { node, show: (value) => { if (!sender.held) sender.show(value); } };
}

function check(id, row, send) {
  const box = make("input", { type: "checkbox", id, onchange: () => sender.push(box.checked) });
  box.checked = row.value;
  const sender = new Sender(send, (value) => { box.checked = value; });
  const node = make("div", { class: "knob check" }, box, make("label", { for: id }, words(row.name)));
  return { node, show: (value) => { if (!sender.held) sender.show(value); } };
}

// With `row.none`, a text, the value may be null, which a box with that text means.
function slider(id, row, send) {
  let [low, high] = limits(row);
  const log = row.unit === "Hz" && high / Math.max(low, 1) > 30;
  const floor = log ? Math.max(low, Math.min(20, high / 2)) : low;
  const place = (value) => log
    ? Math.log(Math.max(value, floor) / floor) / Math.log(high / floor) : (value - low) / (high - low);
  const at = (share) => {
    if (log) return +(floor * (high / floor) ** share).toPrecision(3);
    const step = 10 ** Math.floor(Math.log10((high - low) / 200));
    const value = Math.round((low + share * (high - low)) / step) * step;
    return +Math.min(high, Math.max(low, value)).toPrecision(6);
  };
  const label = row.label || words(row.name);
  const bar = make("input", { type: "range", min: 0, max: 1, step: 0.005,
    id: `${id}-bar`, "aria-label": label, oninput: () => take(at(+bar.value)) });
  const number = make("input", { type: "number", id, step: "any", min: row.least, max: row.most,
    onchange: () => { if (number.value !== "") take(+number.value); } });
  const none = row.none && make("input", { type: "checkbox", id: `${id}-none`,
    onchange: () => take(none.checked ? null : at(+bar.value)) });
  const show = (value) => {
    if (value !== null && !log && (value < low || value > high)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const known = value !== null && value !== undefined;
    if (none) none.checked = !known;
    if (known) bar.value = place(value);
    bar.setAttribute("aria-valuetext", known ? `${short(value)} ${row.unit}` : row.none || "not set");
    if (document.activeElement !== number || !number.dataset.typing) {
      number.value = known ? short(value) : "";
    }
  };
  number.addEventListener("input", () => { number.dataset.typing = "1"; });
  number.addEventListener("blur", () => { delete number.dataset.typing; });
  const sender = new Sender(send, (value) => { delete number.dataset.typing; show(value); });
  function take(value) {
    delete number.dataset.typing;
    show(value);
    sender.push(value);
  }
  show(row.value);
  const range = rangeText(row);
  const node = make("div", { class: "knob" },
    make("label", { for: id }, label, range ? make("span", { class: "range" }, range) : ""),
    make("div", { class: "line" }, bar, number, make("span", { class: "unit" }, row.unit)));
  if (none) {
    node.append(make("div", { class: "check" }, none, make("label", { for: `${id}-none` }, row.none)));
  }
  return { node, show: (value) => { if (!sender.held) show(value); } };
}

// A setting that only a new effect can heed: a text, a number or a truth value.
export function fixed(id, row, send) {
  if (typeof row.value === "boolean") return check(id, row, send);
  if (row.choices && row.choices.length) return choice(id, row, send);
  const isNumber = typeof row.value === "number" || row.unit || row.least !== null;
  const input = make("input", { id, type: isNumber ? "number" : "text", step: "any",
    min: row.least, max: row.most, autocomplete: "off",
    onchange: () => sender.push(isNumber ? +input.value : input.value) });
  const sender = new Sender(send, (value) => { input.value = value ?? ""; });
  sender.show(row.value);
  const node = make("div", { class: "knob free" }, make("label", { for: id }, words(row.name)),
    make("div", { class: "line" }, input, make("span", { class: "unit" }, row.unit || "")));
  return { node, show: () => {} };
}
