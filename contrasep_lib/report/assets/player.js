"use strict";

// Plays the lanes of one mixture in step: all run on one clock, one of them is heard. Changing the lane leaves no gap.
class Player {
  // seconds that a lane fades in or out, and by which starting is put off so that all lanes start together
  static FADE = 0.008;
  static LEAD = 0.03;
  static context = null;

  constructor(root, seconds, rate) {
    this.root = root;
    this.seconds = seconds;
    this.rate = rate;
    this.lane = 0;
    this.offset = 0;
    this.playing = false;
    this.voices = [];
    this.loops = false;
    this.changed = () => {};
    this.coded = [...root.querySelectorAll("script.audio")].map((each) => each.textContent);
    this.buffers = null;
  }

  // Browsers start audio after the first press of a key or button only, so the context is made on playing.
  async prepare() {
    if (!Player.context) Player.context = new AudioContext({ sampleRate: Math.max(16000, this.rate) });
    await Player.context.resume();
    if (!this.buffers) {
      const decode = (text) => Player.context.decodeAudioData(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
      this.buffers = Promise.all(this.coded.map(decode));
    }
    return this.buffers;
  }

  get time() {
    if (!this.playing) return this.offset;
    const passed = Math.max(0, Player.context.currentTime - this.started);
    return Math.min(this.seconds, this.offset + passed);
  }

  async play() {
    if (this.playing) return;
    this.playing = true;
    this.started = Infinity;
    const buffers = await this.prepare();
    if (!this.playing) return;
    if (this.offset >= this.seconds - 0.01) this.offset = 0;
    const context = Player.context;
    this.started = context.currentTime + Player.LEAD;
    this.voices = buffers.map((buffer, number) => {
      const source = new AudioBufferSourceNode(context, { buffer });
      const gain = new GainNode(context, { gain: number === this.lane ? 1 : 0 });
      source.connect(gain).connect(context.destination);
      source.start(this.started, this.offset);
      return { source, gain };
    });
    this.changed();
  }

  pause() {
    this.offset = this.time;
    this.stop();
  }

  stop() {
    this.playing = false;
    for (const { source } of this.voices) source.stop();
    this.voices = [];
    this.changed();
  }

  async seek(time) {
    const goes = this.playing;
    if (goes) this.stop();
    this.offset = Math.max(0, Math.min(this.seconds, time));
    if (goes) await this.play();
    this.changed();
  }

  hear(lane) {
    this.lane = lane;
    this.voices.forEach(({ gain }, number) => {
      gain.gain.setTargetAtTime(number === lane ? 1 : 0, Player.context.currentTime, Player.FADE / 3);
    });
    this.changed();
  }

  // called with every picture: at the end it begins anew or stops
  tick() {
    if (!this.playing || this.time < this.seconds) return;
    this.stop();
    this.offset = this.loops ? 0 : this.seconds;
    if (this.loops) this.play();
    this.changed();
  }
}
