// The page of a server: the microphone goes to the server and comes back clean.
//
// sound.js runs in the audio thread, link.js in a worker; between them, samples take no way through
// this file, which shows and asks.

import * as draw from "./draw.js";
import { fill, knob, trouble } from "./knobs.js";

const RATE = 48000; // Hz, what is asked of the browser: the net's own rate needs no resampling
const BLOCK = 512, RESERVE_S = 0.02;
const WINDOW = 2048, FLOOR_DB = -110, TOP_DB = -10, BANDS = 96, COLUMN_MS = 40, REDUCTION_S = 0.4;
const FEATURES = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

let run = null; // all that a start made, until it is stopped
let share = 1; // of cleaned sound

const mix = knob("mix-value", { name: "mix", label: "Share of cleaned sound", value: 100, unit: "%",
  least: 0, most: 100, kind: "float" }, (value) => {
  share = Math.min(100, Math.max(0, value)) / 100;
  heard();
  return 100 * share;
});
$("mix").append(mix.node);
$("trouble").querySelector("button").addEventListener("click", () => trouble(""));

const raw = () => $("raw").getAttribute("aria-pressed") === "true";
function heard() { if (run) run.node.port.postMessage({ mix: raw() ? 0 : share }); }
$("raw").addEventListener("click", () => {
  $("raw").setAttribute("aria-pressed", `${!raw()}`);
  heard();
});

function pill(text, kind = "") {
  if ($("pill").textContent !== text) $("pill").textContent = text;
  $("pill").className = kind;
  document.title = `${text} – rtdenoise`;
  document.body.dataset.state = text;
}
const say = (text) => { if ($("said").textContent !== text) $("said").textContent = text; };

// --- start and stop ---

$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
$("stop").addEventListener("click", stop);
$("model").addEventListener("change", () => {
  if (run) run.link.postMessage({ hello: hello(run.context) });
});

function hello(context) {
  const model = $("model").value, token = $("token").value;
  return { protocol: 1, rate: context.sampleRate, channels: 1, format: "s16",
    ...(model ? { model } : {}), ...(token ? { token } : {}) };
}

async function start() {
  if (run || $("go").disabled) return;
  trouble("");
  say("");
  $("go").disabled = true;
  pill("asking for the microphone", "warn");
  const made = {};
  try {
    await begin(made);
    run = made;
    heard();
    for (const id of ["stop", "raw"]) $(id).disabled = false;
    $("stop").focus();
    draw.form(made.axes);
    made.timer = setInterval(picture, COLUMN_MS);
  } catch (error) {
    await end(made);
    pill("stopped", "bad");
    trouble(reason(error));
  }
}

async function begin(made) {
  if (!navigator.mediaDevices || !window.AudioWorkletNode) {
    throw new Error("This browser gives no microphone to this page: it wants https://, or " +
      "http://localhost.");
  }
  made.stream = await navigator.mediaDevices.getUserMedia({ audio: { ...FEATURES, channelCount: 1 } });
  made.track = made.stream.getAudioTracks()[0];
  const source = await opened(made);
  await made.context.audioWorklet.addModule("sound.js");
  const node = (made.node = new AudioWorkletNode(made.context, "sound", {
    numberOfInputs: 1, numberOfOutputs: 3, outputChannelCount: [1, 1, 1], channelCount: 1,
    channelCountMode: "explicit", processorOptions: { block: BLOCK, reserve_s: RESERVE_S, mix: share },
  }));
  made.ears = [1, 2].map((output) => {
    const ear = new AnalyserNode(made.context, { fftSize: WINDOW, smoothingTimeConstant: 0,
      minDecibels: FLOOR_DB, maxDecibels: TOP_DB });
    node.connect(ear, output);
    return ear;
  });
  made.axes = axes(made.context.sampleRate);
  node.port.onmessage = ({ data }) => { made.counts = data; };
  const link = (made.link = new Worker("link.js")), { port1, port2 } = new MessageChannel();
  link.onmessage = ({ data }) => told(made, data);
  const url = new URL("v1/stream", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = url.search = "";
  node.port.postMessage({ link: port1 }, [port1]);
  link.postMessage({ url: url.href, hello: hello(made.context), sound: port2 }, [port2]);
  made.track.addEventListener("ended", () => gone(made));
  source.connect(node).connect(made.context.destination, 0);
  made.context.addEventListener("statechange", () => paused(made));
  made.context.resume(); // a browser may let it wait for a touch of the page
}

// Some browsers take a microphone only at its own rate.
async function opened(made) {
  for (const options of [{ sampleRate: RATE }, {}]) {
    try {
      made.context = new AudioContext({ latencyHint: "interactive", ...options });
      return made.context.createMediaStreamSource(made.stream);
    } catch (error) {
      if (made.context) await made.context.close();
      made.context = null;
      if (!options.sampleRate) throw error;
    }
  }
}

async function stop() {
  const made = run;
  if (!made) return;
  run = null;
  await end(made);
  pill("stopped");
}

async function end(made) {
  clearInterval(made.timer);
  if (made.track) made.track.stop();
  if (made.link) made.link.postMessage({ stop: true });
  if (made.node) made.node.port.postMessage({ over: true });
  if (made.context) await made.context.close();
  draw.noLevels();
  for (const id of ["stop", "raw"]) $(id).disabled = true;
  $("go").disabled = false;
  if (document.activeElement === document.body) $("go").focus();
}

function reason(error) {
  const texts = { NotAllowedError: "The browser does not allow this page to use the microphone: " +
    "allow it beside the address, and start again.",
  NotFoundError: "There is no microphone.",
  NotReadableError: "The microphone cannot be opened: does another program use it?" };
  return texts[error.name] || `${error.message}`;
}

async function gone(made) {
  if (made !== run) return;
  await stop();
  pill("stopped", "bad");
  trouble("The microphone is gone: plug it in, and start again.");
}

function paused(made) {
  if (made !== run) return;
  if (made.context.state === "running") say("");
  else say("The browser has paused the sound, as during a call: it goes on by itself.");
}

// --- what the link tells ---

async function told(made, { state, text, ready, frames, problem }) {
  if (state === "done" && !run) say(`${(frames / made.ready.rate).toFixed(1)} s came back.`);
  if (made !== run && state !== "refused") return;
  if (state === "live") {
    made.ready = ready;
    made.breaks = (made.breaks ?? -1) + 1;
    say("");
    const choice = ready.model || "the server’s choice";
    $("about").textContent = `${choice}, ${ready.rate / 1000} kHz, on ${location.host}`;
    pill("live", "good");
  } else if (state === "connecting" && made.ready === undefined) pill("connecting", "warn");
  else if (state === "away") {
    pill("away", "bad");
    say(`${text} You hear the microphone as it is.`);
  } else if (state === "draining") say(text);
  else if (state === "refused") {
    run = run === made ? null : run;
    await end(made);
    pill("stopped", "bad");
    $("secret").hidden &&= problem !== "token";
    trouble(text);
    if (problem === "token") $("token").focus();
  }
}

// --- what is drawn ---

const mel = (hz) => 2595 * Math.log10(1 + hz / 700), hertz = (m) => 700 * (10 ** (m / 2595) - 1);

// The bands of a spectrum, of equal width in mel and a bin at least.
function axes(rate) {
  const edges = Array.from({ length: BANDS + 1 }, (_, at) =>
    Math.round((hertz((mel(rate / 2) * at) / BANDS) * WINDOW) / rate));
  for (let at = 0; at < BANDS; at++) edges[at + 1] = Math.max(edges[at + 1], edges[at] + 1);
  const bins = edges.map((edge) => Math.min(edge, WINDOW / 2 - 1));
  return { bins, bands_hz: bins.slice(0, BANDS).map((bin) => (bin * rate) / WINDOW),
    columns_per_s: 1000 / COLUMN_MS };
}

function column(ear, { bins }) {
  const levels = new Uint8Array(WINDOW / 2), text = [];
  ear.getByteFrequencyData(levels);
  for (let at = 0; at < BANDS; at++) {
    text.push(String.fromCharCode(Math.max(...levels.subarray(bins[at], bins[at + 1] + 1))));
  }
  return btoa(text.join(""));
}

const decibels = (gain) => Math.max(-120, 20 * Math.log10(gain + 1e-9));

function level(ear) {
  const samples = new Float32Array(WINDOW);
  ear.getFloatTimeDomainData(samples);
  const power = samples.reduce((sum, x) => sum + x * x, 0) / WINDOW;
  const peak = samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return { rms: decibels(Math.sqrt(power)), peak: decibels(peak) };
}

let reduction = null;
function picture() {
  if (!run || document.hidden) return;
  const [before, after] = run.ears.map((ear) => column(ear, run.axes));
  const [dry, wet] = run.ears.map(level);
  const now = dry.rms > -60 ? dry.rms - wet.rms : null, pace = COLUMN_MS / 1000 / REDUCTION_S;
  reduction = now === null || reduction === null ? now : reduction + pace * (now - reduction);
  draw.sound({ before, after, levels: { dry_rms: dry.rms, dry_peak: dry.peak, wet_rms: wet.rms,
    wet_peak: wet.peak, reduction } });
  numbers();
}

let numbered = 0;
function numbers() {
  if (!run.counts || performance.now() - numbered < 250) return;
  numbered = performance.now();
  const { context, counts, ready, breaks } = run, rate = context.sampleRate;
  const ms = (frames) => (1000 * frames) / rate, server = ms(ready ? ready.latency_samples : 0);
  const way = Math.max(0, ms(counts.delay) - server);
  draw.latency({ [`${ready ? ready.model || "server" : "server"}`]: server, "way and reserve": way,
    "sound card": 1000 * ((context.outputLatency || 0) + context.baseLatency) });
  const rows = [["lost", `${ms(counts.lost).toFixed(0)} ms`, counts.lost],
    ["silent", `${ms(counts.silent).toFixed(0)} ms`, 0],
    ["skipped", `${ms(counts.skipped).toFixed(0)} ms`, 0],
    ["breaks", `${Math.max(0, breaks ?? 0)}`, breaks > 0]];
  $("counts").replaceChildren(...rows.map(([name, value, some]) =>
    make("div", { class: some ? "some" : null }, make("dt", {}, name), make("dd", {}, value))));
}

async function choices() {
  const about = await (await fetch("health")).json();
  fill($("model"), [["", "the server’s choice"], ...(about.models || []).map((name) => [name, name])]);
}
choices().catch(() => {});
pill("stopped");
