// Beside the page: the kernel at work. One message in, one or more out; see `answer` for what is understood.
"use strict";

const TYPES = { float32: Float32Array, uint8: Uint8Array, int16: Int16Array };
let kernel, memory, settings, layout; // `layout.py` says what the last has
let networks = {}; // data set -> the classifier after the first task; name of a run -> after it
let run = null; // the one at hand
let going = false;

const answer = {
  async load({ binary, sets, ...others }) {
    const { instance } = await WebAssembly.instantiate(binary, {});
    kernel = instance.exports;
    layout = others.layout;
    settings = { ...others, sets: Object.fromEntries(Object.entries(sets).map(([name, bytes]) => [name, read(bytes)])) };
    memory = Object.fromEntries(Object.entries(layout.arrays).map(([name, [type, shape]], number) =>
      [name, new TYPES[type](kernel.memory.buffer, kernel.memory_of(number), shape.reduce((a, b) => a * b))]));
    for (const [name, kept] of Object.entries(settings.sets)) networks[name] = classifier(kept);
  },
  begin(wish) {
    run = { ...wish, updates: 0, seconds: 0 };
    const kept = settings.sets[run.dataset];
    take(run.dataset);
    kernel.begin(run.seed);
    run.tests = [settings.new + settings.memory, settings.new + settings.memory + settings.test];
    run.truth = kept.label;
    report(settings.look);
    answer.go();
  },
  go() {
    if (!going && run && run.updates < settings.updates) {
      going = true;
      step();
    }
  },
  pause() {
    going = false;
  },
  // Between two updates: the weights of the run at hand are put back afterwards.
  draw({ dataset, image }) {
    const before = memory.state.slice();
    const kept = settings.sets[dataset], drawn = layout.rows - 1;
    memory.compressor.set(kept.compressor);
    memory.image.set(image);
    kernel.compress(drawn);
    memory.chosen.fill(drawn);
    const judged = {};
    for (const [name, weights] of Object.entries({ ...networks, ...(run ? { [run.name]: before } : {}) })) {
      if (name.split(",")[0] !== dataset) continue;
      memory.state.set(weights);
      kernel.forward(20, 0);
      judged[name] = Array.from({ length: 10 }, (_, c) => Math.exp(memory.scores[20 * c]));
    }
    memory.state.set(before);
    postMessage({ kind: "drawn", latent: Array.from(memory.rows.subarray(36 * drawn, 36 * drawn + 36)), judged });
  },
};

function read(bytes) {
  try {
    return tensors(bytes);
  } catch {
    throw new Error("The data of this page are cut short");
  }
}

// A safetensors file: the length of a JSON header, the header, the tensors.
function tensors(bytes) {
  const types = { F32: Float32Array, U8: Uint8Array, I8: Int8Array };
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  delete header.__metadata__;
  const kept = {};
  for (const [name, { dtype, data_offsets: [from, to] }] of Object.entries(header)) {
    if (8 + length + to > bytes.byteLength) throw new Error("too short");
    kept[name] = new types[dtype](bytes.slice(8 + length + from, 8 + length + to));
  }
  return kept;
}

function classifier({ weights, scales, others }) {
  const state = new Float32Array(memory.state.length);
  let to = 0, weight = 0, other = 0;
  layout.weights.forEach((count, layer) => {
    for (let i = 0; i < count; i++) state[to++] = scales[layer] * weights[weight++];
    state.set(others.subarray(other, (other += layout.others[layer])), to);
    to += layout.others[layer];
  });
  return state;
}

// A data set's rows, classes and first network into the kernel.
function take(dataset) {
  const { latents, least, step, label } = settings.sets[dataset];
  latents.forEach((value, i) => { memory.rows[i] = least[i % 36] + step[i % 36] * value; });
  memory.label.set(label);
  memory.state.set(networks[dataset]);
}

// Early updates one by one: most is forgotten in the first ones.
const looksAt = (update) => [1, 2, 3, 5, 8, 11].includes(update) || update % 15 === 0;

function step() {
  if (!going) return;
  const began = performance.now();
  kernel.learn(settings.new, run.memory, Number(run.mixed), settings.rate);
  run.seconds += (performance.now() - began) / 1000;
  run.updates += 1;
  if (run.updates === settings.updates) {
    going = false;
    networks[run.name] = memory.state.slice();
    report(settings.test, BigInt.asUintN(64, kernel.hash()).toString(16).padStart(16, "0"));
  } else if (looksAt(run.updates)) {
    report(settings.look);
  } else {
    postMessage({ kind: "update", updates: run.updates, seconds: run.seconds });
  }
  setTimeout(step); // messages get their turn
}

// What the classifier makes of `count` test images of each task, under every mode.
function report(count, hash) {
  const found = {};
  for (const [mode, [statistics, mixed]] of Object.entries(layout.modes)) {
    kernel.judge(...run.tests, count, statistics, mixed);
    const guess = run.tests.map((from) => memory.guess.slice(from, from + count));
    const right = guess.map((classes, task) => classes.filter((c, i) => c === run.truth[run.tests[task] + i]).length);
    found[mode] = { guess, accuracy: right.map((n) => n / count) };
  }
  postMessage({ kind: "report", updates: run.updates, seconds: run.seconds, found, hash });
}

async function hear({ ask, ...others }) {
  try {
    await answer[ask](others);
  } catch (error) {
    going = false;
    postMessage({ kind: "failed", ask, reason: error.message });
  }
}
let heard = Promise.resolve(); // one after the other: loading takes a moment
onmessage = ({ data }) => { heard = heard.then(() => hear(data)); };
