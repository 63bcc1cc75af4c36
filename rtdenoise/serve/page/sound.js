// The audio thread: sends the microphone to the link, and plays what comes back.
//
// Every frame of the microphone has a position. The sound of the server is kept by these positions,
// so that it stays aligned with the microphone, whatever is lost on the way: what will never come
// back is replaced by the microphone itself. What is heard is `play`; it waits when it has caught up
// with what came back, and skips when more than enough came back for some seconds.

const QUANTUM = 128; // frames that the browser processes at once
const SIZE = 2 ** 18; // frames that are kept: 5.5 s at 48 kHz
const LOOK_S = 2; // time in which what is kept in reserve was never needed, before it is skipped
const SLACK_S = 0.01;
const MOST_S = 1; // what is heard is never later than this: what comes back later still is lost
const REPORT_S = 0.1;

class Sound extends AudioWorkletProcessor {
  constructor({ processorOptions: { block, reserve_s, mix } }) {
    super();
    this.dry = new Float32Array(SIZE);
    this.wet = new Float32Array(SIZE);
    this.block = block;
    this.reserve = Math.round(reserve_s * sampleRate); // frames, against a way of uneven length
    this.at = 0; // frames that the microphone gave
    this.sent = 0; // frames that the link got
    this.had = 0; // the sound of the server is known up to this position
    this.play = -1; // the position that is heard next; -1: no sound has come yet
    this.flows = this.begun = false;
    this.away = true;
    this.mix = this.wanted = mix;
    this.counts = { lost: 0, silent: 0, skipped: 0 }; // frames
    this.least = Infinity;
    this.looked = this.reported = 0;
    this.over = false;
    this.port.onmessage = ({ data }) => this.told(data);
  }

  told(data) {
    if (data.link) {
      this.link = data.link;
      this.link.onmessage = ({ data: heard }) => this.take(heard);
    }
    if (data.mix !== undefined) this.wanted = data.mix;
    if (data.over) this.over = true;
  }

  // From the link: {away}, {from}: the connection begins at this position, {at, samples}.
  take({ away, from, at, samples }) {
    if (away !== undefined) this.away = away;
    if (from !== undefined) {
      if (this.play < 0) this.play = this.had = from;
      this.giveUp(from);
    }
    if (!samples) return;
    this.giveUp(at);
    const end = at + samples.length;
    for (let i = Math.max(at, this.had); i < end; i++) this.wet[i % SIZE] = samples[i - at];
    this.had = Math.max(this.had, end);
  }

  // What is not here up to a position does not come back: the microphone takes its place.
  giveUp(end) {
    if (this.play < 0 || end <= this.had) return;
    this.counts.lost += end - this.had;
    for (let i = Math.max(this.had, end - SIZE); i < end; i++) this.wet[i % SIZE] = this.dry[i % SIZE];
    this.had = end;
  }

  process([[input]], [[heard], [before], [after]]) {
    for (let i = 0; i < QUANTUM; i++) this.dry[(this.at + i) % SIZE] = input ? input[i] : 0;
    this.at += QUANTUM;
    this.send();
    if (this.play >= 0) this.listen(heard, before, after);
    if ((this.at - this.reported) / sampleRate >= REPORT_S) this.report();
    return !this.over;
  }

  send() {
    while (this.link && this.at - this.sent >= this.block) {
      const samples = new Float32Array(this.block);
      for (let i = 0; i < this.block; i++) samples[i] = this.dry[(this.sent + i) % SIZE];
      this.link.postMessage({ at: this.sent, samples }, [samples.buffer]);
      this.sent += this.block;
    }
  }

  listen(heard, before, after) {
    const behind = this.at - this.play - MOST_S * sampleRate;
    if (behind > 0) {
      this.giveUp(this.play + behind);
      this.counts.skipped += behind;
      this.play += behind;
    }
    if (this.away) this.giveUp(Math.min(this.at, this.play + QUANTUM));
    const begins = !this.flows;
    if (begins) {
      if (this.had - this.play < this.reserve + QUANTUM && !this.away) {
        if (this.begun) this.counts.silent += QUANTUM;
        return;
      }
      this.flows = this.begun = true;
      this.least = Infinity;
      this.looked = this.at;
    }
    const count = Math.min(QUANTUM, this.had - this.play), skip = this.spare();
    const from = this.mix;
    this.mix = this.wanted;
    for (let i = 0; i < count; i++) {
      const share = (i + 1) / QUANTUM, place = (this.play + i) % SIZE;
      let b = this.dry[place], a = this.wet[place];
      if (skip) { // into what comes later
        const later = (this.play + skip + i) % SIZE;
        b += share * (this.dry[later] - b);
        a += share * (this.wet[later] - a);
      }
      const mix = from + share * (this.mix - from);
      const gain = (begins ? share : 1) * (count < QUANTUM ? 1 - (i + 1) / count : 1);
      before[i] = b;
      after[i] = a;
      heard[i] = gain * (b + mix * (a - b));
    }
    this.counts.skipped += skip;
    this.play += count + skip;
    if (count < QUANTUM) { // it has caught up: it begins again when there is a reserve
      this.flows = false;
      this.counts.silent += QUANTUM - count;
    }
  }

  // Frames that can be left out, because so much was in reserve all the time.
  spare() {
    const left = this.had - this.play - QUANTUM;
    this.least = Math.min(this.least, left);
    if ((this.at - this.looked) / sampleRate < LOOK_S) return 0;
    const much = this.least - this.reserve;
    this.least = Infinity;
    this.looked = this.at;
    return much > SLACK_S * sampleRate && left > much + QUANTUM ? much : 0;
  }

  report() {
    this.reported = this.at;
    this.port.postMessage({ ...this.counts, delay: this.play < 0 ? 0 : this.at - this.play,
      flows: this.flows });
  }
}

registerProcessor("sound", Sound);
