// Other programs' lips on recordings: node lip_peers.mjs headaudio|wlipsync PACKAGE JOB
//
// In: PACKAGE, the folder of the npm package. JOB/sound.f32, all recordings end to end, mono float32 at 16 kHz.
// JOB/job.json: counts (samples of each recording), speakers (of each), labels (viseme of each 20 ms pose of each),
// visemes (names in the order of the labels); for wLipSync, which has to be calibrated: own (true: to each speaker,
// false: to all others together), method and standardized (how it compares).
// Out, on standard output: {"visemes": for each recording the viseme of each pose, as heard when its middle had
// sounded; "cpu_s": of listening alone, without loading and calibrating}.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const RATE = 16000, HOP = 320, BLOCK = 160;
const [peer, folder, jobFolder] = process.argv.slice(2);
const job = JSON.parse(readFileSync(join(jobFolder, "job.json"), "utf8"));
const bytes = readFileSync(join(jobFolder, "sound.f32"));
const sound = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const SILENT = job.visemes.indexOf("sil");

function* recordings() {
  let start = 0;
  for (let k = 0; k < job.counts.length; k++) {
    yield [k, sound.subarray(start, start + job.counts[k])];
    start += job.counts[k];
  }
}

// Feeds blocks of 10 ms, and writes down what `now()` says in the middle of each pose.
function listen(samples, feed, now = () => SILENT) {
  const poses = Math.ceil(samples.length / HOP), heard = [];
  for (let end = BLOCK; heard.length < poses; end += BLOCK) {
    const block = new Float32Array(BLOCK);
    block.set(samples.subarray(end - BLOCK, Math.min(end, samples.length)));
    feed(block);
    if ((end / BLOCK) % 2 === 1) heard.push(now());
  }
  return heard;
}

async function headAudio() {
  const module = (name) => import(pathToFileURL(join(folder, "modules", name)));
  const { Processor } = await module("processor.mjs");
  const { Training } = await module("training.mjs");
  globalThis.fetch = async () => new Response(readFileSync(join(folder, "dist", "model-en-mixed.bin")));
  const { model } = await new Training().loadModel("model");
  const names = ["aa", "E", "I", "O", "U", "PP", "SS", "TH", "DD", "FF", "kk", "nn", "RR", "CH", "sil"];
  const ours = { I: "ih", O: "oh", U: "ou" };
  const place = names.map((name) => job.visemes.indexOf(ours[name] ?? name));
  return (samples) => {
    let viseme = SILENT;
    // What its node does with messages, but for one thing: that one drops its class 0 ("aa") by a truth test.
    const hear = (message) => {
      if (message.event === "ended") viseme = SILENT;
      if (message.event === "viseme" && message.viseme !== null) viseme = place[message.viseme];
    };
    const processor = new Processor({ sampleRate: RATE }, { port: { postMessage: hear } });
    processor.classifier.import({ model });
    return listen(samples, (block) => processor.process(block), () => viseme);
  };
}

const MFCC = 12, WINDOW = 1024, BANDS = 30, EXAMPLES = 32, QUIETEST = -2.5; // of the loudness as log10, its default

// The program with a profile: as its audio worklet uses it.
class Lips {
  constructor(module, examples, standardized) {
    this.memory = new WebAssembly.Memory({ initial: 4 });
    this.program = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports;
    const raw = this.program.load_profile(RATE, WINDOW, BANDS, job.method, examples.length, EXAMPLES, standardized);
    const values = examples.flat(2), view = new DataView(this.memory.buffer);
    values.forEach((value, i) => view.setFloat32(raw + 4 * i, value, true));
    this.program.precompute_profile();
    this.program.set_input(RATE);
    this.size = this.program.get_input_buffer_size();
    this.clear();
  }
  clear() {
    this.input = new Float32Array(this.memory.buffer, this.program.get_input_buffer(), this.size).fill(0);
    this.position = 0;
  }
  feed(block) {
    for (const value of block) {
      this.input[this.position] = value;
      this.position = (this.position + 1) % this.size;
    }
    const best = this.program.execute(this.position);
    const volume = new DataView(this.memory.buffer).getFloat32(this.program.get_volume_ptr(), true);
    return Math.log10(volume) > QUIETEST ? best : -1;
  }
  features() {
    return Array.from(new Float32Array(this.memory.buffer, this.program.mfccOut.value, MFCC));
  }
}

// What the program measures at each moment of each viseme, speaker by speaker.
function measured(module) {
  const zeros = Array.from({ length: EXAMPLES }, () => new Array(MFCC).fill(0));
  // It works out as many features as it has phonemes: so the profile that only measures has as many.
  const lips = new Lips(module, Array(MFCC).fill(zeros), 0), found = new Map();
  for (const [k, samples] of recordings()) {
    const speaker = job.speakers[k];
    if (!found.has(speaker)) found.set(speaker, job.visemes.map(() => []));
    let blocks = 0;
    lips.clear();
    listen(samples, (block) => {
      const loud = lips.feed(block) >= 0;
      const pose = Math.floor((++blocks * BLOCK - WINDOW / 2) / HOP); // a window belongs to its middle
      if (loud && pose >= 0 && pose < job.labels[k].length) found.get(speaker)[job.labels[k][pose]].push(lips.features());
    });
  }
  return found;
}

// A profile's examples of a viseme are the means of as many parts of its moments: their mean is that of all.
function calibrated(module, moments) {
  const said = job.visemes.map((_, v) => v).filter((v) => v !== SILENT && moments[v].length >= EXAMPLES);
  const mean = (rows) => rows[0].map((_, c) => rows.reduce((sum, row) => sum + row[c], 0) / rows.length);
  const parts = (rows) => Array.from({ length: EXAMPLES }, (_, e) => mean(rows.filter((_, i) => i % EXAMPLES === e)));
  const lips = said.length ? new Lips(module, said.map((v) => parts(moments[v])), job.standardized) : null;
  return { said, lips };
}

async function wLipSync() {
  const module = await WebAssembly.compile(readFileSync(join(folder, "dist", "wlipsync.wasm")));
  const moments = measured(module), profiles = new Map();
  for (const speaker of moments.keys()) {
    const heard = [...moments.keys()].filter((other) => (other === speaker) === job.own);
    const together = job.visemes.map((_, v) => heard.flatMap((other) => moments.get(other)[v]));
    profiles.set(speaker, calibrated(module, together));
  }
  return (samples, k) => {
    const { said, lips } = profiles.get(job.speakers[k]);
    let best = -1;
    lips?.clear();
    return listen(samples, (block) => (best = lips?.feed(block) ?? -1), () => (best < 0 ? SILENT : said[best]));
  };
}

const hear = await { headaudio: headAudio, wlipsync: wLipSync }[peer]();
const visemes = [];
const before = process.cpuUsage();
for (const [k, samples] of recordings()) visemes.push(hear(samples, k));
const used = process.cpuUsage(before);
process.stdout.write(JSON.stringify({ visemes, cpu_s: (used.user + used.system) / 1e6 }));
