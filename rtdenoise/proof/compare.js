// All versions are decoded first, then play in step by one clock, and only the gains change: so
// switching is instant and at the same place. What was removed is the input minus the version, made
// by the same gains.

const FADE_S = 0.005, SKIP_S = 1, SHORTEST_S = 0.1;
const data = JSON.parse($("data").textContent);
$("data").remove();

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const letter = (index) => String.fromCharCode(65 + index);
const versions = shuffled(data.versions.map(({ about, ...sounds }) => (
  { ...sounds, ...JSON.parse(new TextDecoder().decode(bytes(about))) })));
const INPUT = versions.findIndex((version) => version.kind === data.input);
let player = null, revealed = false, liked = -1;

function shuffled(list) {
  for (let i = list.length - 1; i > 0; i -= 1) {
    const j = crypto.getRandomValues(new Uint32Array(1))[0] % (i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

class Player {
  // Sounds in step: first the versions, then, if the page holds them, what each removed.
  constructor(context, buffers, changed) {
    this.context = context;
    this.buffers = buffers;
    this.changed = changed;
    this.seconds = data.seconds;
    this.from = 0;
    this.to = this.seconds;
    this.offset = 0;
    this.heard = 0;
    this.removed = false;
    this.nodes = null;
  }
  gains() {
    const gains = this.buffers.map(() => 0), one = versions[this.heard];
    if (!this.removed) gains[this.heard] = 1;
    else if (this.buffers.length > versions.length) gains[versions.length + this.heard] = 1;
    else if (this.heard !== INPUT) {
      gains[INPUT] = one.fit * one.gain / versions[INPUT].gain;
      gains[this.heard] = -one.fit;
    }
    return gains;
  }
  mix() {
    if (!this.nodes) return;
    const now = this.context.currentTime;
    this.gains().forEach((gain, i) => this.nodes[i].gain.gain.setTargetAtTime(gain, now, FADE_S));
  }
  choose(index, removed = this.removed) {
    this.heard = index;
    this.removed = removed;
    this.mix();
    this.changed();
  }
  play() {
    this.context.resume();
    if (this.nodes) return;
    this.begun = this.context.currentTime + 0.02;
    this.nodes = this.buffers.map((buffer) => {
      const source = this.context.createBufferSource(), gain = this.context.createGain();
      source.buffer = buffer;
      source.loop = true;
      source.loopStart = this.from;
      source.loopEnd = this.to;
      gain.gain.value = 0;
      source.connect(gain).connect(this.context.destination);
      source.start(this.begun, this.offset);
      return { source, gain };
    });
    this.mix();
    this.changed();
  }
  pause() {
    if (!this.nodes) return;
    this.offset = this.place;
    const now = this.context.currentTime;
    this.nodes.forEach(({ source, gain }) => {
      gain.gain.setTargetAtTime(0, now, FADE_S);
      source.stop(now + 8 * FADE_S);
    });
    this.nodes = null;
    this.changed();
  }
  seek(seconds, from = this.from, to = this.to) {
    const playing = this.nodes !== null;
    this.pause();
    this.from = from;
    this.to = to;
    this.offset = Math.min(Math.max(seconds, from), to - 0.01);
    if (playing) this.play();
    this.changed();
  }
  get place() {
    if (!this.nodes) return this.offset;
    const at = this.offset + Math.max(0, this.context.currentTime - this.begun);
    return at < this.to ? at : this.from + ((at - this.from) % (this.to - this.from));
  }
}

const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

function changed() {
  const { heard, removed, from, to, nodes } = player, version = versions[heard];
  [...$("versions").children].forEach((button, i) => {
    button.classList.toggle("on", i === heard);
    button.setAttribute("aria-pressed", i === heard);
  });
  $("play").textContent = nodes ? "Pause" : "Play";
  $("removed").setAttribute("aria-pressed", removed);
  $("removed").classList.toggle("on", removed);
  const looped = from > 0 || to < player.seconds;
  $("whole").hidden = !looped;
  $("loop").hidden = !looped;
  $("loop").style.left = `${100 * from / player.seconds}%`;
  $("loop").style.width = `${100 * (to - from) / player.seconds}%`;
  $("prefer").disabled = false;
  $("prefer").textContent = `I prefer ${letter(heard)}`;
  $("picture").src = revealed ? version.picture : data.timeline;
  const name = revealed ? `${letter(heard)}: ${version.label}` : "the input";
  $("picture").alt = `Spectrogram of ${name}`;
  $("legend").textContent = `picture: ${name}`;
}

function tick() {
  const place = player.place;
  $("head").style.left = `${100 * place / player.seconds}%`;
  $("time").textContent = `${clock(place)} of ${clock(player.seconds)}`
    + ` · ${player.removed ? "removed by " : ""}${letter(player.heard)}`;
  $("timeline").setAttribute("aria-valuenow", place.toFixed(1));
  requestAnimationFrame(tick);
}

function choose(index) {
  player.choose(index);
  player.play();
}

const toggle = () => (player.nodes ? player.pause() : player.play());

function scale(parent) {
  data.marks.forEach(([hz, share]) => parent.append(
    make("span", { class: "mark", style: `bottom:${100 * share}%` }, `${hz / 1000} kHz`)));
}

const number = (value, digits) => (value === null || value === undefined
  ? "–" : value.toFixed(digits));
function realTime({ hops, kind }) {
  if (kind === data.input) return "–";
  if (!hops) return "files only";
  return hops.held_up ? "held up" : hops.verdict;
}

const COLUMNS = [
  ["DNSMOS overall", (v) => number(v.dnsmos?.ovrl, 2)],
  ["voice", (v) => number(v.dnsmos?.sig, 2)],
  ["background", (v) => number(v.dnsmos?.bak, 2)],
  ["× real time", (v) => number(v.speed_x, 0)],
  ["hop p50 / p99 ms", (v) => (v.hops
    ? `${number(v.hops.p50_ms, 1)} / ${number(v.hops.p99_ms, 1)} of ${number(v.hops.deadline_ms, 1)}`
    : "–")],
  ["real-time?", realTime],
  ["delay ms", (v) => number(v.delay_ms, 1)],
  ["gain dB", (v) => number(v.gain_db, 1)],
];

function reveal() {
  if (revealed) return;
  revealed = true;
  $("reveal").hidden = true;
  $("task").textContent = "Switch while it plays: the picture is that of what you hear.";
  [...$("versions").children].forEach((button, i) => {
    button.append(make("small", {}, versions[i].label));
  });
  document.querySelector("thead").append(make("tr", {}, make("th", { scope: "col" }, "version"),
    ...COLUMNS.map(([label]) => make("th", { scope: "col" }, label))));
  document.querySelector("tbody").append(...versions.map((version, i) => make("tr", {},
    make("th", { scope: "row" }, `${letter(i)}: ${version.label}`),
    ...COLUMNS.map(([label, value]) => make("td", { "data-label": label }, value(version))))));
  $("pictures").append(...versions.flatMap((version, i) => {
    const picture = make("div", { class: "picture" },
      make("img", { src: version.picture, alt: `Spectrogram of ${version.label}` }));
    scale(picture);
    return [make("h2", {}, `${letter(i)}: ${version.label}`), picture];
  }));
  $("results").hidden = false;
  changed();
}

function prefer() {
  liked = player.heard;
  reveal();
  const { label, kind, command } = versions[liked];
  $("choice").hidden = false;
  $("choice").replaceChildren("You prefer ", make("b", {}, `${letter(liked)}: ${label}`),
    ...(kind === data.input ? [", as it was recorded."]
      : [". To use it: ", make("code", {}, command)]));
  [$("versions").children, document.querySelector("tbody").children].forEach((list) => {
    [...list].forEach((node, i) => node.classList.toggle("liked", i === liked));
  });
  $("results").scrollIntoView({ block: "nearest" });
}

function drag() {
  const line = $("timeline");
  let begin = null;
  const at = (event) => {
    const box = line.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(Math.max(share, 0), 1) * player.seconds;
  };
  line.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    line.setPointerCapture(event.pointerId);
    begin = { x: event.clientX, place: at(event) };
  });
  line.addEventListener("pointerup", (event) => {
    if (!begin) return;
    const end = at(event), moved = Math.abs(event.clientX - begin.x) > 6;
    const from = Math.min(begin.place, end), to = Math.max(begin.place, end);
    if (moved && to - from >= SHORTEST_S) player.seek(from, from, to);
    else if (end < player.from || end > player.to) player.seek(end, 0, player.seconds);
    else player.seek(end);
    begin = null;
  });
  line.addEventListener("pointercancel", () => { begin = null; });
}

const whole = () => player.seek(player.place, 0, player.seconds);
const KEYS = {
  " ": toggle,
  r: () => player.choose(player.heard, !player.removed),
  n: reveal,
  "[": () => player.seek(player.place, Math.min(player.place, player.to - SHORTEST_S), player.to),
  "]": () => player.seek(player.from, player.from,
    Math.max(player.place, player.from + SHORTEST_S)),
  Escape: whole,
  ArrowLeft: () => player.seek(player.place - SKIP_S),
  ArrowRight: () => player.seek(player.place + SKIP_S),
};

document.addEventListener("keydown", (event) => {
  if (!player || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.matches("button")) return;
  const index = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
  if (index >= 0 && index < versions.length) choose(index);
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});

// A click leaves no focus behind, so that the space bar goes on meaning play and pause.
document.addEventListener("click", (event) => {
  if (event.detail) event.target.closest("button")?.blur();
});

// A decoder may drop the end of a sound, and sounds of two lengths would loop out of step.
function even(buffer, context) {
  const length = Math.round(data.seconds * context.sampleRate);
  const out = context.createBuffer(buffer.numberOfChannels, length, context.sampleRate);
  for (let c = 0; c < buffer.numberOfChannels; c += 1) {
    out.copyToChannel(buffer.getChannelData(c).subarray(0, length), c);
  }
  return out;
}

async function start() {
  scale($("marks"));
  $("notes").append(...data.notes.map((note) => make("li", {}, note)));
  $("last").textContent = String(versions.length);
  $("timeline").setAttribute("aria-valuemax", data.seconds.toFixed(1));
  try {
    let context;
    try { context = new AudioContext({ sampleRate: data.rate }); } // no resampling of what we play
    catch { context = new AudioContext(); }
    const texts = versions.map((version) => version.sound);
    if (versions[0].removed) texts.push(...versions.map((version) => version.removed));
    const buffers = await Promise.all(texts.map((t) => context.decodeAudioData(bytes(t).buffer)));
    player = new Player(context, buffers.map((buffer) => even(buffer, context)), changed);
  } catch (error) {
    $("trouble").hidden = false;
    $("trouble").textContent = `The sounds cannot be decoded (${error.message}): this needs a `
      + `browser that plays ${data.mime}.`;
    return;
  }
  $("versions").append(...versions.map((_, i) => make("button", {
    "aria-keyshortcuts": String(i + 1), "aria-pressed": false, onclick: () => choose(i),
  }, letter(i))));
  $("play").disabled = false;
  $("play").addEventListener("click", toggle);
  $("removed").addEventListener("click", KEYS.r);
  $("whole").addEventListener("click", whole);
  $("reveal").addEventListener("click", reveal);
  $("prefer").addEventListener("click", prefer);
  drag();
  changed();
  tick();
}
start();
