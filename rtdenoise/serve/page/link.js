// A worker that holds the connection, so that neither drawing nor a hidden tab keeps sound waiting.
//
// From the page: {url, hello, sound}, {hello}, {stop}. To the page: {state, text, ...}.

const FIRST_WAIT_MS = 250, LONGEST_WAIT_MS = 5000, END_MS = 10000, FREE_MS = 1500;
const MOST_FLYING_S = 3; // sound that may be on its way; a server that lets more wait is given up

let sound, url, hello, socket = null, timer = 0, wait_ms = FIRST_WAIT_MS;
let spans = []; // [position, frames] of what was sent and has not come back
let late = 0; // frames that the server still puts before the sound
let came = 0; // frames that came back, over all connections
let live = false, begun = false, ended = false, stream = null;

self.onmessage = ({ data }) => {
  if (data.hello) hello = data.hello;
  if (data.sound) {
    ({ sound, url } = data);
    sound.onmessage = ({ data: block }) => send(block);
    connect();
  } else if (data.hello) { // with another model; the server has room when the old stream is over
    const old = leave();
    stream = null;
    clearTimeout(timer);
    timer = setTimeout(connect, FREE_MS);
    if (old) old.onclose = connect;
  }
  if (data.stop) stop();
};

const tell = (state, text, more = {}) => self.postMessage({ state, text, ...more });
const flying = () => spans.reduce((sum, [, count]) => sum + count, 0);

function connect() {
  clearTimeout(timer);
  if (ended) return;
  tell("connecting", "");
  const mine = (socket = new WebSocket(url)), refusal = {};
  mine.binaryType = "arraybuffer";
  mine.onopen = () => {
    const resume = stream && { stream, samples: flying() };
    mine.send(JSON.stringify(resume ? { ...hello, resume } : hello));
  };
  mine.onmessage = ({ data }) => {
    if (mine !== socket) return;
    if (typeof data === "string") hear(JSON.parse(data), refusal);
    else take(new Int16Array(data));
  };
  mine.onclose = ({ code }) => {
    if (mine === socket) closed(code, refusal);
  };
}

function hear(message, refusal) {
  if (message.ready) {
    stream = message.ready.stream;
    late = message.ready.latency_samples;
    spans = [];
    live = true;
    begun = false;
    wait_ms = FIRST_WAIT_MS;
    tell("live", "", { ready: message.ready });
  } else if (message.error !== undefined) Object.assign(refusal, message);
  else if (message.draining) tell("draining", `The server ends in ${message.draining.seconds} s.`);
  else if (message.done) tell("done", "", { frames: came });
}

// The way back after a break: at once at first, then more slowly, or when the server wants.
function closed(code, refusal) {
  leave();
  if (ended) return over();
  const final = [1002, 1003, 1007, 1008, 1009].includes(code) && refusal.retry_s === undefined;
  if (final) return tell("refused", refusal.error || `The server refused (${code}).`, refusal);
  const next_ms = refusal.retry_s ? 1000 * refusal.retry_s : wait_ms;
  wait_ms = Math.min(2 * wait_ms, LONGEST_WAIT_MS);
  const why = refusal.error || "The server does not answer";
  tell("away", `${why}. Trying again in ${(next_ms / 1000).toFixed(1)} s.`, refusal);
  timer = setTimeout(connect, next_ms);
}

function leave() {
  const old = socket;
  socket = null;
  live = false;
  sound.postMessage({ away: true });
  if (old) old.close();
  return old;
}

function send({ at, samples }) {
  if (!live || ended) return;
  if (flying() > MOST_FLYING_S * hello.rate) {
    closed(0, { error: "The server or the way to it is too slow" });
    return;
  }
  if (!begun) sound.postMessage({ away: false, from: at });
  begun = true;
  const steps = new Int16Array(samples.length);
  for (let i = 0; i < steps.length; i++) {
    steps[i] = Math.max(-32768, Math.min(32767, Math.round(32768 * samples[i])));
  }
  socket.send(steps);
  spans.push([at, steps.length]);
}

// What comes back belongs to the positions that were sent, in their order.
function take(steps) {
  let from = Math.min(late, steps.length);
  late -= from;
  while (from < steps.length && spans.length) {
    const span = spans[0], count = Math.min(span[1], steps.length - from);
    const samples = new Float32Array(count);
    for (let i = 0; i < count; i++) samples[i] = steps[from + i] / 32768;
    sound.postMessage({ at: span[0], samples }, [samples.buffer]);
    from += count;
    came += count;
    span[0] += count;
    span[1] -= count;
    if (!span[1]) spans.shift();
  }
}

function stop() {
  ended = true;
  clearTimeout(timer);
  if (!live) return over();
  socket.send(JSON.stringify({ end: true }));
  timer = setTimeout(over, END_MS);
}

function over() {
  clearTimeout(timer);
  if (socket) socket.close();
  tell("over", "");
  self.close();
}
