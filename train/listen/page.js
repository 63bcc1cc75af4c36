"use strict";
// One page at a time: all its stimuli are decoded first, then play in step, and only the gains
// change, so that switching is instant and at the same place. Every rating is sent when it is made.

const WORDS = {
  mushra: ["Bad", "Poor", "Fair", "Good", "Excellent"],
  acr: ["Bad", "Poor", "Fair", "Good", "Excellent"],
};
const FADE_S = 0.005;
let plan = null, at = 0, player = null;

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text || "";
}

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}

class Player {
  // Sounds in step; `onplay(index)` is told what began to be heard.
  constructor(context, buffers, onplay) {
    this.context = context;
    this.buffers = buffers;
    this.onplay = onplay;
    this.seconds = Math.max(...buffers.map((b) => b.duration));
    this.from = 0;
    this.to = this.seconds;
    this.heard = -1;
    this.nodes = null;
  }
  play(index) {
    this.context.resume();
    if (!this.nodes) this.start();
    const now = this.context.currentTime;
    this.nodes.forEach(({ gain }, i) => gain.gain.setTargetAtTime(i === index ? 1 : 0, now, FADE_S));
    this.heard = index;
    this.onplay(index);
  }
  start() {
    const begin = this.context.currentTime + 0.02;
    this.begun = begin;
    this.nodes = this.buffers.map((buffer) => {
      const source = this.context.createBufferSource(), gain = this.context.createGain();
      source.buffer = buffer;
      source.loop = true;
      source.loopStart = this.from;
      source.loopEnd = this.to;
      gain.gain.value = 0;
      source.connect(gain).connect(this.context.destination);
      source.start(begin, this.from);
      return { source, gain };
    });
  }
  stop() {
    if (!this.nodes) return;
    this.nodes.forEach(({ source, gain }) => { source.stop(); gain.disconnect(); });
    this.nodes = null;
    this.heard = -1;
    this.onplay(-1);
  }
  loop(from, to) {
    this.from = from;
    this.to = to;
    const index = this.heard;
    if (this.nodes) { this.stop(); this.play(index); }
  }
  get place() {
    if (!this.nodes) return this.from;
    const gone = Math.max(0, this.context.currentTime - this.begun);
    return this.from + (gone % Math.max(0.01, this.to - this.from));
  }
}

let context = null;
async function load(tokens) {
  context = context || new AudioContext();
  return Promise.all(tokens.map(async (token) => {
    const answer = await fetch(`/audio/${token}`);
    if (!answer.ok) throw new Error(`sound ${answer.status}`);
    return context.decodeAudioData(await answer.arrayBuffer());
  }));
}

// One after the other: the last word of a slider must be the last that arrives.
let sending = Promise.resolve();
function rate(stimulus, value) {
  sending = sending.then(() => send(stimulus, value));
}

async function send(stimulus, value) {
  try {
    await post("/api/rating", {
      session: plan.session, token: stimulus.token, value, plays: stimulus.plays,
    });
    stimulus.value = value;
    trouble("");
  } catch (error) {
    trouble(`Not saved (${error.message}). Check the connection and move the rating again.`);
    stimulus.value = null;
  }
  ready();
}

const done = (page) => page.stimuli.every((s) => s.value !== null);

function ready() {
  const next = $("next"), page = plan.pages[at];
  if (next && page) next.disabled = !done(page);
  const rated = plan.pages.filter(done).length;
  $("bar").value = rated / plan.pages.length;
  $("count").textContent = `${rated} of ${plan.pages.length}`;
}

function welcome() {
  const mushra = plan.method === "mushra";
  const text = mushra
    ? "You will hear several versions of each recording. Compare them with the reference, and "
      + "rate how good each one sounds: 100 is as good as the reference. One of them is the "
      + "reference itself: give it 100."
    : "You will hear one recording at a time. Rate how good it sounds, from bad to excellent.";
  const volume = make("button", { id: "volume", onclick: () => toggleVolume(volume) },
    "Play a sample to set the volume");
  $("main").replaceChildren(
    make("h2", {}, "Before you begin"),
    make("p", {}, text),
    make("p", {}, "Use headphones in a quiet place. Set the volume now, so that the sample is "
      + "pleasantly loud, and leave it there."),
    make("div", { class: "row" }, volume),
    make("p", { class: "soft" }, "You can close this page at any time and go on later on this "
      + "device: every rating is saved at once."),
    make("div", { class: "row end" },
      make("button", { id: "begin", class: "main", onclick: () => show(first()) },
        plan.pages.some(done) ? "Go on" : "Begin")),
  );
}

async function toggleVolume(button) {
  if (player && player.heard >= 0) return player.stop();
  const page = plan.pages[0];
  const sample = page.reference || page.stimuli[0].token;
  const words = (index) => { button.textContent = index < 0 ? "Play again" : "Stop"; };
  try {
    player = player || new Player(null, await load([sample]), words);
    player.context = context;
    player.play(0);
  } catch (error) {
    trouble(`The sound cannot be played (${error.message}).`);
  }
}

function first() {
  const found = plan.pages.findIndex((page) => !done(page));
  return found < 0 ? plan.pages.length : found;
}

async function show(number) {
  if (player) player.stop();
  player = null;
  at = number;
  $("progress").hidden = false;
  if (at >= plan.pages.length) return thanks();
  const page = plan.pages[at];
  $("main").replaceChildren(make("p", {}, "Loading the sounds …"));
  ready();
  const tokens = [...(page.reference ? [page.reference] : []), ...page.stimuli.map((s) => s.token)];
  try {
    const buffers = await load(tokens);
    const draw = plan.method === "mushra" ? mushra : acr;
    draw(page, buffers);
    ready();
  } catch (error) {
    trouble(`The sounds cannot be loaded (${error.message}).`);
    $("main").replaceChildren(make("button", { onclick: () => show(at) }, "Try again"));
  }
}

function heading() {
  return make("h2", {}, `${plan.method === "mushra" ? "Recording" : "Sound"} ${at + 1} of `
    + `${plan.pages.length}`);
}

function onward() {
  const last = at === plan.pages.length - 1;
  return make("div", { class: "row end" },
    make("button", { id: "back", disabled: at === 0, onclick: () => show(at - 1) }, "Back"),
    make("button", { id: "next", class: "main", disabled: true, onclick: () => show(at + 1) },
      last ? "Finish" : "Next"));
}

function mushra(page, buffers) {
  const buttons = [], sliders = [];
  player = new Player(context, buffers, (index) => {
    buttons.forEach((button, i) => {
      button.classList.toggle("on", i === index);
      button.setAttribute("aria-pressed", i === index);
    });
    if (index > 0) {
      page.stimuli[index - 1].plays += 1;
      sliders[index - 1].disabled = false;
    }
  });
  const button = (index, name, key) => {
    const one = make("button", { "aria-pressed": false, "aria-keyshortcuts": key,
      onclick: () => player.play(index) }, name);
    buttons.push(one);
    return one;
  };
  const reference = button(0, "Reference", "0");
  const rows = page.stimuli.map((stimulus, i) => {
    const name = String.fromCharCode(65 + i);
    const shown = make("output", {}, stimulus.value === null ? "–" : String(stimulus.value));
    const slider = make("input", {
      type: "range", min: 0, max: 100, step: 1, value: stimulus.value ?? 50,
      "aria-label": `Rating of ${name}`, disabled: stimulus.plays < 1,
      oninput: (event) => { shown.textContent = event.target.value; },
      onchange: (event) => rate(stimulus, Number(event.target.value)),
    });
    sliders.push(slider);
    return make("div", { class: "stimulus" }, button(i + 1, name, String(i + 1)), slider, shown);
  });
  $("main").replaceChildren(
    heading(),
    make("div", { class: "row" }, reference,
      make("button", { id: "stop", onclick: () => player.stop() }, "Stop"),
      make("span", { class: "soft keys" }, make("kbd", {}, "0"), " reference, ",
        make("kbd", {}, "1"), "–", make("kbd", {}, String(rows.length)), " stimuli, ",
        make("kbd", {}, "space"), " stop and go")),
    make("div", { class: "scale", "aria-hidden": true }, make("i"),
      make("div", {}, ...WORDS.mushra.map((word) => make("span", {}, word)))),
    make("div", { class: "stimuli" }, ...rows),
    timeline(),
    make("p", { class: "soft" }, "Play each one before you rate it. All of them need a rating; "
      + "a rating of exactly 50 needs a touch of its slider too."),
    onward(),
  );
}

function timeline() {
  const place = make("progress", { max: player.seconds, value: 0, "aria-label": "Position" });
  const from = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0,
    "aria-label": "Loop from" });
  const to = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 1,
    "aria-label": "Loop to" });
  const set = () => {
    const a = Number(from.value), b = Math.max(Number(to.value), a + 0.05);
    player.loop(Math.min(a, 0.95) * player.seconds, Math.min(b, 1) * player.seconds);
  };
  from.addEventListener("change", set);
  to.addEventListener("change", set);
  place.style.width = "100%";
  const mine = player;
  const tick = () => {
    if (player !== mine) return;
    place.value = mine.place;
    requestAnimationFrame(tick);
  };
  tick();
  return make("details", {}, make("summary", { class: "soft" }, "Loop a part"),
    make("div", { class: "timeline" }, "position", place, "from", from, "to", to));
}

function acr(page, buffers) {
  const stimulus = page.stimuli[0];
  const button = make("button", { id: "play", class: "main" }, "Play");
  const votes = make("fieldset", { class: "votes", disabled: stimulus.plays < 1,
    "aria-label": "Rating" },
  ...WORDS.acr.map((word, i) => make("label", {},
    make("input", { type: "radio", name: "vote", value: i + 1,
      checked: stimulus.value === i + 1, onchange: () => rate(stimulus, i + 1) }),
    make("b", {}, String(i + 1)), word)));
  player = new Player(context, buffers, (index) => {
    button.textContent = index < 0 ? "Play" : "Stop";
    if (index < 0) return;
    stimulus.plays += 1;
    votes.disabled = false;
  });
  button.addEventListener("click", () => (player.heard < 0 ? player.play(0) : player.stop()));
  $("main").replaceChildren(
    heading(),
    make("div", { class: "row" }, button, make("span", { class: "soft keys" },
      make("kbd", {}, "space"), " play and stop, ", make("kbd", {}, "1"), "–",
      make("kbd", {}, "5"), " rate")),
    votes,
    onward(),
  );
}

function thanks() {
  ready();
  $("main").replaceChildren(
    make("h2", {}, "Thank you"),
    make("p", {}, "All ratings are saved. You can close this page."),
    make("div", { class: "row" },
      make("button", { onclick: () => show(0) }, "Look at my ratings again"),
      make("button", { id: "another", onclick: () => start(true) }, "Another listener")),
  );
}

document.addEventListener("keydown", (event) => {
  const inText = event.target.matches("input[type=range], button") && event.key === " ";
  if (!player || !plan || inText || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") {
    event.preventDefault();
    if (player.heard >= 0) player.stop();
    else player.play(0);
  } else if (/^[0-9]$/.test(event.key)) {
    const number = Number(event.key);
    if (plan.method === "mushra" && number < player.buffers.length) player.play(number);
    if (plan.method === "acr") document.querySelector(`.votes input[value="${number}"]`)?.click();
  }
});

async function start(fresh = false) {
  const key = "listener";
  try {
    const known = fresh ? null : localStorage.getItem(key);
    plan = await post("/api/session", { session: known });
    localStorage.setItem(key, plan.session);
    document.title = plan.title;
    $("title").textContent = plan.title;
    player = null;
    at = 0;
    $("progress").hidden = true;
    trouble("");
    welcome();
  } catch (error) {
    trouble(`The test cannot be loaded (${error.message}).`);
  }
}
start();
