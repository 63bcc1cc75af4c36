// The page of the panel. It shows what the run reports, four times a second, and asks for changes.

import * as board from "./board.js";
import * as draw from "./draw.js";
import { ask, fill, knob, press, trouble, writing } from "./knobs.js";

const OTHER = "file:", STALE_MS = 4000, MOST_EVENTS = 300;
let models = [], state = null, shown = null, parameters = [], effects = null, heard = 0;

const mix = knob("mix-value", { name: "mix", label: "Share of cleaned sound", value: null, unit: "%",
  least: 0, most: 100, kind: "float" }, (value) => ask("mix", { value }));
const limit = knob("limit-value", { name: "limit", label: "Remove at most", value: null, unit: "dB",
  least: 0, most: 100, kind: "float", none: "no limit" }, (value) => ask("atten-lim", { value }));
$("mix").append(mix.node);
$("limit").append(limit.node);

// --- what is chosen before a start ---

function ends(kind, devices) {
  const usual = kind === "in" ? ["mic", "Default microphone"] : ["speakers", "Default speakers"];
  const channels = kind === "in" ? "inputs" : "outputs";
  const named = devices.filter((device) => device[channels] > 0)
    .map(({ name, host }) => [`${name}, ${host}`, `${name}, ${host}`]);
  fill($(kind), [usual, ...named, [OTHER, "A file …"],
    ["null", kind === "in" ? "Silence" : "Nowhere"]]);
}

async function devices() {
  $("devices-said").textContent = "Looking for devices …";
  try {
    const found = await ask("devices");
    ends("in", found);
    ends("out", found);
    $("devices-said").textContent = found.length ? "" : "There is no sound device on this machine.";
  } catch (error) {
    trouble("");
    $("devices-said").textContent = error.message;
  }
}

async function choices() {
  models = await ask("models");
  const names = await ask("presets");
  fill($("with"), [...models.map(({ name }) => [`model ${name}`, `Model ${name}`]),
    ...names.map((name) => [`preset ${name}`, `Preset ${name}`]),
    ["board", "A board file …"], ["model", "A model file …"]]);
  chosen();
}

const about = (name) => models.find((model) => model.name === name)?.description || "";

function chosen() {
  for (const kind of ["in", "out"]) $(`${kind}-file`).parentElement.hidden = $(kind).value !== OTHER;
  const [what, name] = $("with").value.split(/ (.*)/s);
  $("with-file").parentElement.hidden = name !== undefined;
  const preset = what === "preset" && name;
  $("with-about").textContent = preset
    ? "The devices of the preset are used, unless others are chosen above."
    : about(name);
}
$("start").addEventListener("change", chosen);

function end(kind) {
  return $(kind).value === OTHER ? OTHER + $(`${kind}-file`).value : $(kind).value;
}

function wishes() {
  const [what, name] = $("with").value.split(/ (.*)/s), settings = {};
  for (const [kind, usual] of [["in", "mic"], ["out", "speakers"]]) {
    if (what !== "preset" || end(kind) !== usual) settings[kind] = end(kind);
  }
  settings[what] = name ?? $("with-file").value;
  return settings;
}

async function start(settings) {
  try { await ask("start", settings ? { settings } : {}); } catch (error) {
    if (error.problem !== "exists") throw error;
  }
}
$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  press($("go"), () => start(wishes()));
});
$("again").addEventListener("click", () => press($("again"), () => start(null)));
$("look").addEventListener("click", () => press($("look"), devices));

// --- what is asked of the run ---

for (const name of ["bypass", "residual"]) {
  $(name).addEventListener("click", () => press($(name), async () => {
    pressed(name, await ask(name, { value: $(name).getAttribute("aria-pressed") !== "true" }));
  }));
}
const pressed = (name, on) => $(name).setAttribute("aria-pressed", `${on}`);

$("stop").addEventListener("click", () => press($("stop"), () => {
  const mine = state.child && state.child.pid === state.pid;
  const question = `Stop the run ${state.pid}? The panel did not start it.`;
  return mine || confirm(question) ? ask("stop") : null;
}));
$("host").addEventListener("change", () => ask("attach", { value: +$("host").value }).catch(() => {}));
$("model").addEventListener("change", async () => {
  $("model").dataset.busy = "1";
  try { await ask("model", { value: $("model").value }); } catch { /* it is shown */ }
  delete $("model").dataset.busy;
});
$("trouble").querySelector("button").addEventListener("click", () => trouble(""));

function form(id, button, work) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    press(button || $(id).querySelector("button"), work);
  });
}
const kept = (text) => { $("kept").textContent = text; };
form("board-file", $("load"), () => ask("load", { path: $("board-path").value }));
$("save").addEventListener("click", () => press($("save"), async () => {
  kept(`The board is in ${await writing("save", { path: $("board-path").value })}`);
}));
form("record", null, () => (state.status.recording
  ? ask("record", { value: null })
  : writing("record", { value: $("record-path").value })));
form("mark", null, async () => {
  const folder = await ask("mark", { text: $("mark-text").value });
  kept(folder ? `The last seconds are in ${folder}` : "Marked; this run keeps no sound.");
  $("mark-text").value = "";
});
form("store", null, async () => {
  const body = { name: $("preset").value, settings: { in: end("in"), out: end("out") } };
  const started = state.child && state.child.pid === state.pid ? state.child.settings : {};
  for (const kind of ["in", "out"]) if (started[kind]) body.settings[kind] = started[kind];
  kept(`The preset is in ${await writing("store", body)}`);
  await choices();
});

// --- what the run reports ---

function ended(child) {
  if (child.code === null) return "";
  if (child.asked && child.code === 0) return "The run was stopped.";
  if (child.code < 0) return `The run ${child.pid} was killed (signal ${-child.code}).`;
  return child.code === 0 ? "The run is over." : `The run failed (exit code ${child.code}).`;
}

function pill(text, kind) {
  if ($("pill").textContent !== text) $("pill").textContent = text;
  $("pill").className = kind;
  document.title = `${text} – rtdenoise`;
}

function header() {
  const status = state.status;
  const starting = state.child && state.child.code === null && state.pid !== state.child.pid;
  if (!status) {
    $("about").textContent = "";
    return pill(starting ? "starting" : "no run", starting ? "warn" : last === null ? "" : "bad");
  }
  const runs = status.model ? `model ${status.model}` : `board: ${status.board.join(", ") || "empty"}`;
  const channels = status.channels === 1 ? "mono" : `${status.channels} channels`;
  $("about").textContent = `${status.ends.join(" → ")}, ${runs}, ${status.rate / 1000} kHz ` +
    `${channels}, process ${status.pid}${status.preset ? `, preset ${status.preset}` : ""}`;
  if (status.ended !== "running") pill(status.ended, "warn");
  else if (status.waiting) pill("waiting for a device", "warn");
  else pill(status.bypass ? "bypassed" : "running", status.bypass ? "warn" : "good");
}

let last = null; // the number of the run that was shown last
let moving = ""; // that another run is shown than before, without being chosen
let unread = null; // the run whose last words were opened
function runSection() {
  const { status, child, hosts } = state, ours = child && child.pid === last;
  const gone = status ? moving : (last === null || ours) && child ? ended(child)
    : last !== null && !(child && child.code === null) ? `The run ${last} is gone.` : "";
  const choose = !status && hosts.length > 1 ? " Choose one of the runs that there are." : "";
  $("gone").textContent = `${gone}${choose}`;
  $("gone").hidden = !$("gone").textContent;
  const lines = child && !status ? child.lines.join("\n") : "";
  if ($("printed").lastElementChild.textContent !== lines) {
    $("printed").lastElementChild.textContent = lines;
  }
  if (child && child.code && unread !== child.pid) {
    unread = child.pid;
    $("printed").open = true;
  }
  $("printed").hidden = !lines;
  $("which").hidden = hosts.length < 2 && !(hosts.length && !status);
  const list = hosts.map(({ pid, text }) => [`${pid}`, text]);
  fill($("host"), status ? list : [["", "choose …"], ...list], `${state.pid ?? ""}`);
  const busy = child && child.code === null;
  $("start").hidden = Boolean(status) || Boolean(busy);
  $("again").hidden = !(child && child.code !== null);
  $("running").hidden = !status && !busy;
  for (const name of ["bypass", "residual"]) $(name).disabled = !status;
}

const COUNTS = [["xruns", "xruns"], ["late", "late hops"], ["dry", "dry hops"],
  ["failed", "failed hops"], ["gaps", "gaps"], ["clipped", "clipped"]];
function numbers(status) {
  draw.latency(status.latency_ms);
  const rest = [["running for", clock(status.seconds)], ["load", `${Math.round(status.load_percent)} %`],
    ["hop, median", ms(status.p50_ms)],
    ["hop, 99 %", ms(status.p99_ms)]];
  if (status.drift_ppm !== null) rest.push(["drift", `${status.drift_ppm.toFixed(1)} ppm`]);
  const counts = COUNTS.map(([key, name]) => [name, status[key], status[key] > 0]);
  $("counts").replaceChildren(...[...rest, ...counts].map(([name, value, some]) =>
    make("div", { class: some ? "some" : null }, make("dt", {}, name), make("dd", {}, `${value}`))));
}

const ms = (value) => (value === null ? "–" : `${value.toFixed(2)} ms`);

function clock(seconds) {
  const s = Math.floor(seconds), two = (n) => `${n}`.padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}`
    : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

function desk(status) {
  pressed("bypass", status.bypass);
  pressed("residual", status.residual);
  mix.show(status.mix);
  limit.show(status.atten_lim_db);
  if (!$("model").dataset.busy && document.activeElement !== $("model")) {
    const names = models.map(({ name }) => [name, name]);
    const own = status.model === null || !models.some(({ name }) => name === status.model);
    const other = status.model ?? "";
    fill($("model"), own ? [[other, other || "a board runs"], ...names] : names, other);
  }
  $("model-about").textContent = about(status.model);
  const rec = status.recording;
  $("record").querySelector("button").textContent = rec ? "End the recording" : "Record";
  $("record-path").disabled = Boolean(rec);
  $("recording").textContent = rec ? `Recording to ${rec.file}, ${rec.seconds.toFixed(1)} s` : "";
}

function told(events) {
  const list = $("events"), below = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  for (const event of events) {
    list.append(make("li", {}, make("time", {}, `${event.at_s.toFixed(2)} s`), event.text));
  }
  while (list.children.length > MOST_EVENTS) list.firstElementChild.remove();
  if (below && events.length) list.scrollTop = list.scrollHeight;
}

async function moved(pid) {
  shown = pid;
  parameters = [];
  effects = null;
  $("events").replaceChildren();
  kept("");
  draw.noSpectra();
  draw.noLevels();
  board.none();
  if (pid !== null) {
    try { board.known(await ask("effects"), models.map(({ name }) => name)); } catch { /* shown */ }
    if (shown === pid && state.status) board.show(effects, parameters, state.status.model);
  }
}

function receive(now) {
  state = now;
  heard = performance.now();
  const pid = now.status ? now.pid : null;
  if (pid !== null && pid !== last) {
    const left = last !== null && !now.hosts.some((host) => host.pid === last);
    const mine = now.child && now.child.pid === pid;
    moving = left && !mine ? `The run ${last} is gone; this is another one.` : "";
    last = pid;
  }
  if (pid !== shown) moved(pid);
  header();
  runSection();
  for (const id of ["strength", "board-edit", "keep"]) $(id).disabled = pid === null;
  for (const part of document.querySelectorAll(".column, #strength")) part.hidden = pid === null;
  if (pid === null) {
    if (now.child && now.child.code === null) last = now.child.pid;
    return;
  }
  desk(now.status);
  numbers(now.status);
  told(now.events);
  $("no-spectra").hidden = now.status.tap !== null;
  $("spectra").hidden = now.status.tap === null;
  if (now.form) draw.form(now.form);
  if (now.calls !== undefined) draw.callTimes(now.calls);
  if (now.parameters) parameters = now.parameters;
  if (now.board !== undefined) effects = now.board;
  if (now.parameters || now.board !== undefined) board.show(effects, parameters, now.status.model);
  document.body.dataset.ready = `${pid}`;
}

// --- the connection to the panel; a page that nobody sees has none ---

let source = null;
function connect() {
  source = new EventSource("feed");
  source.addEventListener("state", ({ data }) => receive(JSON.parse(data)));
  source.addEventListener("sound", ({ data }) => { if (shown !== null) draw.sound(JSON.parse(data)); });
  shown = null;
  heard = performance.now();
}
function leave() {
  if (source) source.close();
  source = null;
}
document.addEventListener("visibilitychange", () => (document.hidden ? leave() : connect()));
setInterval(() => {
  if (!source || performance.now() - heard < STALE_MS) return;
  const over = source.readyState === EventSource.CLOSED;
  pill(over ? "the panel has ended" : "no answer", "bad");
  $("about").textContent = "What is shown below is old.";
  for (const id of ["strength", "board-edit", "keep"]) $(id).disabled = true;
}, 500);

ends("in", []);
ends("out", []);
choices().catch(() => {}).finally(() => { if (!document.hidden) connect(); });
devices();
