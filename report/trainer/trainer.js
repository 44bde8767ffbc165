// The second task, trained by the reader. A worker trains (worker.js); here are the controls and what they show.
interactive.start("trainer", (root, data) => {
  "use strict";
  const { html, svg, text, line, graphic, mark, key, percent, sum, inside, clamp, spread, shade, SHAPES } = interactive;
  const part = Object.fromEntries([...root.querySelectorAll("[data-part]")].map((e) => [e.dataset.part, e]));
  const [FIRST, SECOND] = data.colours.tasks;
  const MODES = Object.keys(data.evaluations);
  const OFFERED = {
    dataset: Object.keys(data.sets), memory: data.memories.map(String), batches: ["alternating", "mixed"],
    seed: data.seeds.map(String), mode: MODES,
  };
  const FIELDS = Object.keys(OFFERED);

  // -- state ---------------------------------------------------------------------------------------------------------

  const state = {};
  const runs = new Map(); // name -> what is known of a run, in the order of their beginnings
  let training = ""; // name of the run that the worker has
  let going = false; // whether it trains right now
  let asleep = false; // whether it waits for the page to be seen again

  const nameOf = ({ dataset, memory, batches, seed }) => [dataset, memory, batches, seed].join(",");
  const shown = () => runs.get(nameOf(state));
  const set = () => data.sets[state.dataset];
  const many = (n) => Number(n).toLocaleString("en");
  const memoryWords = (memory) => (memory === "0" ? "no memory" : `${many(memory)}\u00a0latents`);
  function words(name) {
    const [, memory, batches, seed] = name.split(",");
    return memoryWords(memory) + (batches === "mixed" ? ", combined batches" : "") + (seed === "0" ? "" : `, seed ${seed}`);
  }

  function settle(wish) {
    for (const name of FIELDS) {
      const first = { dataset: "kmnist", memory: "315", mode: "mixed" }[name];
      state[name] = [wish[name], first, OFFERED[name][0]].find((value) => OFFERED[name].includes(value));
    }
    if (state.memory === "0") state.batches = "alternating"; // there is nothing to combine
  }
  function choose(change) {
    settle({ ...state, ...change });
    history.replaceState(null, "", `#train=${FIELDS.map((name) => state[name]).join(",")}`);
    redraw();
  }
  function open() {
    const found = /^#train=(.*)$/.exec(location.hash.replaceAll("%2C", ","));
    if (!found && state.dataset) return;
    const values = found ? found[1].split(",") : [];
    settle(Object.fromEntries(FIELDS.map((name, i) => [name, values[i]])));
    redraw();
    if (found) root.scrollIntoView();
  }

  // -- the worker ----------------------------------------------------------------------------------------------------

  let worker;

  function complain(what) {
    going = false;
    part.problem.textContent = what;
    part.problem.hidden = false;
    redraw();
  }

  // Started by what the reader does first, not before.
  function ask(message) {
    if (!worker && !start()) return false;
    worker.postMessage(message);
    return true;
  }
  function start() {
    const binary = interactive.bytes(data.kernel).buffer;
    if (typeof WebAssembly !== "object" || !WebAssembly.validate(binary)) {
      complain("This browser has no WebAssembly with SIMD, which training needs. Any current browser has it.");
      return false;
    }
    try {
      worker = new Worker(URL.createObjectURL(new Blob([data.worker], { type: "text/javascript" })));
    } catch {
      complain("This browser lets no page start a worker, which training needs. Open the page in another browser.");
      return false;
    }
    worker.onerror = (event) => {
      event.preventDefault();
      worker = undefined;
      complain(`The worker that trains did not start${event.message ? `: ${event.message}` : ""}.`);
    };
    worker.onmessage = ({ data: { kind, ...others } }) => heard[kind](others);
    let sets;
    try {
      sets = Object.fromEntries(Object.entries(data.sets).map(([name, { file }]) => [name, interactive.bytes(file).buffer]));
    } catch {
      complain("The data of this page are cut short: get the page again.");
      worker.terminate();
      worker = undefined;
      return false;
    }
    const { rate, updates, look, test, layout, memories } = data;
    worker.postMessage({ ask: "load", binary, sets, layout, rate, updates, look, test, new: data.new, memory: memories.at(-1) });
    return true;
  }

  const heard = {
    failed({ ask: what, reason }) {
      complain(`${reason}${what === "load" ? ": get the page again." : ""}`);
      if (what === "load") {
        worker.terminate();
        worker = undefined;
      }
    },
    update({ updates, seconds }) {
      Object.assign(runs.get(training), { updates, seconds });
      redraw();
    },
    report({ updates, seconds, found, hash }) {
      const run = runs.get(training);
      const accuracy = Object.fromEntries(MODES.map((mode) => [mode, found[mode].accuracy]));
      run.history.push({ updates, accuracy });
      Object.assign(run, { updates, seconds, found, hash });
      if (hash) going = false;
      redraw();
      speak(Boolean(hash));
    },
    drawn({ latent, judged }) {
      drawn = { latent, judged, dataset: asked };
      redraw();
    },
  };

  function train() {
    const name = nameOf(state);
    part.problem.hidden = true;
    asleep = false;
    if (going && training === name) {
      going = !ask({ ask: "pause" });
    } else if (training === name && shown().updates < data.updates) {
      going = ask({ ask: "go" });
    } else {
      begin(name);
    }
    redraw();
  }
  function begin(name) {
    const wish = { name, dataset: state.dataset, memory: Number(state.memory), mixed: state.batches === "mixed", seed: Number(state.seed) };
    if (!ask({ ask: "pause" })) return;
    runs.delete(name);
    runs.set(name, { history: [], updates: 0, seconds: 0 });
    training = name;
    going = ask({ ask: "begin", ...wish });
  }

  let spoken = 0;
  function speak(now) {
    if (!now && performance.now() - spoken < 5000) return;
    spoken = performance.now();
    part.summary.textContent = `${words(training)}: ${runs.get(training).updates} of ${data.updates} updates. ${reading(runs.get(training))}`;
  }

  // -- drawing -------------------------------------------------------------------------------------------------------

  let frame;
  const redraw = () => (frame ??= requestAnimationFrame(draw));
  const { once, forget } = interactive.keeper(part);
  function draw() {
    frame = undefined;
    if (!root.clientWidth) return; // in print
    for (const one of [drawControls, drawStatus, drawCurve, drawMatrix, drawMap, drawJudged, drawRuns]) one();
  }

  const accuracyOf = (run) => run?.history.at(-1)?.accuracy[state.mode];
  const reading = (run) => {
    const [old, learned] = accuracyOf(run) ?? [];
    return old === undefined ? "" : `old ${percent(old)}, new ${percent(learned)} (evaluation: ${state.mode})`;
  };
  const stamp = () => [nameOf(state), state.mode, shown()?.history.length, shown()?.hash];

  function drawControls() {
    const label = {
      dataset: (v) => data.sets[v].title, memory: many, batches: (v) => ({ alternating: "in turn", mixed: "combined" })[v],
    };
    for (const [name, options] of Object.entries(OFFERED)) {
      once(name, [options, state.memory === "0"], () => options.map((value) => {
        const off = name === "batches" && value === "mixed" && state.memory === "0";
        const attributes = { type: "radio", name: `trainer-${name}`, value, ...(off ? { disabled: "" } : {}) };
        return html("label", {}, html("input", attributes), (label[name] ?? String)(value));
      }));
      for (const made of part[name].querySelectorAll("input")) made.checked = made.value === state[name];
    }
    const run = shown();
    const here = training === nameOf(state);
    const ended = run?.updates === data.updates;
    part.train.textContent = going && here ? "Pause" : here && run.updates && !ended ? "Go on" : "Train";
    part.train.disabled = ended;
    part.restart.disabled = !run?.updates;
  }

  function drawStatus() {
    const run = shown();
    part.progress.max = data.updates;
    part.progress.value = run?.updates ?? 0;
    part.status.replaceChildren(...status(run));
    part.what.textContent = `Here: ${many(data.new)} new images, batches of 100, learning rate ${data.rate}, momentum 0.9, ` +
      `${data.updates} updates on new images; the paper's runs have the last lines of the table, ${set().images} new ` +
      `images and other settings. Latents and weights before training are kept in eight bits.`;
  }
  function status(run) {
    const elsewhere = going && training !== nameOf(state) ? ` In training: ${words(training)}.` : "";
    const size = state.memory === "0" ? "" : ` The memory takes ${many(37 * Number(state.memory) + 288)} bytes.`;
    if (!run) return [`Press Train to learn the second task with ${memoryWords(state.memory)}.${size}${elsewhere}`];
    if (!run.updates) return [training === nameOf(state) && going ? "Starting." : `Stopped.${elsewhere}`];
    const speed = `${(run.updates / run.seconds).toFixed(1)} updates a second`;
    if (!run.hash) {
      const doing = going && training === nameOf(state) ? "" : training === nameOf(state) ? (asleep ? "Waits until the page is seen. " : "Paused. ") : "Stopped. ";
      return [`${doing}${run.updates} of ${data.updates} updates, ${speed}.${size}${elsewhere}`];
    }
    const stored = data.stored[nameOf(state)].hash;
    const same = run.hash === stored;
    const verdict = same
      ? `This browser repeated our training bit for bit (weights ${stored}).`
      : `This browser computed other weights (${run.hash}) than we did (${stored}).`;
    return [`${data.updates} updates in ${run.seconds.toFixed(0)} s, ${speed}. `, html("strong", same ? { class: "same" } : {}, verdict), elsewhere];
  }

  const LEFT = 40, RIGHT = 96; // of the curve's axes, in pixels

  function drawCurve() {
    part.reading.textContent = reading(shown());
    const width = part.curve.clientWidth;
    const others = [...runs].filter(([name, { history }]) => name !== nameOf(state) && name.startsWith(`${state.dataset},`) && history.length);
    once("curve", [width, stamp(), others.map(([name, { history }]) => [name, history.length])], () => {
      const height = Math.round(clamp(width * 0.56, 210, 330));
      const top = 8, bottom = height - 34;
      const across = (u) => LEFT + ((width - LEFT - RIGHT) * u) / data.updates;
      const y = (value) => bottom - (bottom - top) * value;
      const path = (run, mode, task) =>
        `M${run.history.map(({ updates, accuracy }) => `${across(updates).toFixed(1)},${y(accuracy[mode][task]).toFixed(1)}`).join("L")}`;
      const made = [];
      for (const value of [0, 0.25, 0.5, 0.75, 1]) {
        made.push(line(LEFT, y(value), width - RIGHT, y(value), { class: value ? "grid" : "axis" }));
        made.push(text(LEFT - 6, y(value) + 4, percent(value, 0), { "text-anchor": "end" }));
      }
      const centred = { "text-anchor": "middle" };
      const pace = width < 420 ? 100 : 50;
      for (let u = 0; u <= data.updates; u += pace) made.push(text(across(u), bottom + 15, u, centred));
      made.push(text((LEFT + width - RIGHT) / 2, bottom + 30, "updates on new images", centred));
      const run = shown()?.history.length ? shown() : undefined;
      const labels = others.map(([name, other]) => ({ name, other, y: y(other.history.at(-1).accuracy[state.mode][0]) + 4 }));
      for (const { name, other, y: at } of spread(labels, bottom + 4)) {
        const colour = data.colours.memories[name.split(",")[1]];
        made.push(svg("path", { class: "line other", d: path(other, state.mode, 0), "--c": colour }));
        made.push(text(width - RIGHT + 8, at, words(name).replace("\u00a0latents, combined batches", ", combined"), { class: "name", "--c": colour }));
      }
      if (run) {
        for (const mode of MODES.filter((other) => other !== state.mode)) {
          [FIRST, SECOND].forEach((c, task) =>
            made.push(svg("path", { class: `line mode${task ? " second" : ""}`, d: path(run, mode, task), "--c": c })));
        }
        [[1, SECOND, "line second"], [0, FIRST, "line"]].forEach(([task, c, kind]) => {
          made.push(svg("path", { class: kind, d: path(run, state.mode, task), "--c": c }));
          const { updates, accuracy } = run.history.at(-1);
          made.push(svg("circle", { class: "dot", cx: across(updates), cy: y(accuracy[state.mode][task]), r: 4.5, "--c": c }));
        });
      } else {
        made.push(text((LEFT + width - RIGHT) / 2, (top + bottom) / 2, "nothing trained yet", centred));
      }
      return [graphic(width, height, `Accuracy while the second task is learned, ${set().title}, ${words(nameOf(state))}: ` +
        `${reading(shown()) || "nothing trained yet"}.`, made)];
    });
    const stroke = (kind, colour) => svg("svg", { width: 22, height: 12 }, svg("path", { class: kind, d: "M0,6H22", "--c": colour }));
    once("lines", [state.mode, others.length > 0], () => [
      html("li", {}, stroke("line", FIRST), `old classes, ${state.mode}`),
      html("li", {}, stroke("line second", SECOND), `new classes, ${state.mode}`),
      html("li", {}, stroke("line mode", FIRST), `thin: ${MODES.filter((m) => m !== state.mode).join(" and ")}`),
      ...(others.length ? [html("li", {}, stroke("line other", "var(--soft)"), "old classes, other runs")] : []),
    ]);
  }

  // Test images of a task start at these rows.
  const starts = () => [data.new + data.memories.at(-1), data.new + data.memories.at(-1) + data.test];
  const truths = {};
  function truth(task, i) {
    truths[state.dataset] ??= set().truth.split("").map(Number);
    return truths[state.dataset][task * data.test + i];
  }

  function drawMatrix() {
    const found = shown()?.found?.[state.mode];
    const width = part.matrix.clientWidth;
    once("matrix", [width, stamp()], () => {
      const names = set().classes, long = Math.max(...names.map((name) => name.length));
      const order = set().tasks.flat();
      const counts = names.map(() => names.map(() => 0));
      found?.guess.forEach((guess, task) => guess.forEach((p, i) => { counts[truth(task, i)][p] += 1; }));
      const wrong = order.flatMap((t) => order.filter((p) => p !== t).map((p) => [counts[t][p], t, p]));
      const [most, t, p] = wrong.reduce((a, b) => (b[0] > a[0] ? b : a));
      part.counts.textContent = most ? `most often ${names[t]} is taken for ${names[p]}: ${most} of ${sum(counts[t])}` : "";
      const left = 22 + 6 * long, top = 30, side = (width - left) / 10;
      const made = [text(left + 5 * side, 10, "predicted", { "text-anchor": "middle" }),
        text(0, 0, "true", { "text-anchor": "middle", transform: `translate(10 ${top + 5 * side}) rotate(-90)` })];
      order.forEach((t, i) => {
        made.push(text(left - 6, top + (i + 0.5) * side + 4, names[t], { "text-anchor": "end" }));
        made.push(text(left + (i + 0.5) * side, top - 6, names[t], { "text-anchor": "middle" }));
        const whole = sum(counts[t]) || 1;
        order.forEach((p, j) => {
          const share = counts[t][p] / whole;
          made.push(svg("rect", { class: "cell", x: left + j * side + 0.5, y: top + i * side + 0.5, width: side - 1,
            height: side - 1, "--c": i < 5 ? FIRST : SECOND, "--p": `${shade(share).toFixed(0)}%` }));
          if (counts[t][p]) {
            made.push(text(left + (j + 0.5) * side, top + (i + 0.5) * side + 3.5, counts[t][p],
              { class: share < 0.5 ? "count" : "count full", "--s": `${Math.min(10, 0.42 * side)}px` }));
          }
        });
      });
      [[0, FIRST], [5, SECOND]].forEach(([from, colour]) => {
        made.push(svg("rect", { class: "block", x: left + from * side, y: top + from * side, width: 5 * side, height: 5 * side, "--c": colour }));
      });
      return [graphic(width, top + 10 * side + 1, `Confusion of the test images, rows true, columns predicted. ${part.counts.textContent}`, made)];
    });
  }

  // Old images keep the mark of their class while they are right; a cross says that one is taken for another class.
  let mapped = ""; // what the map shows
  function drawMap() {
    const width = part.map.clientWidth, height = Math.round(width / 1.5), dense = devicePixelRatio || 1;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = JSON.stringify([width, dense, dark, stamp()]);
    if (mapped === now) return;
    mapped = now;
    Object.assign(part.map, { width: width * dense, height: height * dense });
    const context = part.map.getContext("2d");
    context.scale(dense, dense);
    const style = getComputedStyle(root);
    const [ink, soft] = ["--ink", "--soft"].map((name) => style.getPropertyValue(name).trim());
    const plane = atob(set().plane);
    const found = shown()?.found?.[state.mode];
    const place = (k) => [8 + (plane.charCodeAt(2 * k) / 255) * (width - 16), height - 8 - (plane.charCodeAt(2 * k + 1) / 255) * (height - 16) * set().aspect];
    const stroke = (shape, [x, y], colour, filled) => {
      context.save();
      context.translate(x, y);
      context.strokeStyle = context.fillStyle = colour;
      context.scale(0.85, 0.85);
      const path = new Path2D(SHAPES[shape]);
      if (filled) context.fill(path);
      context.stroke(path);
      context.restore();
    };
    context.globalAlpha = 0.4;
    for (let i = 0; i < data.look; i++) stroke("o", place(data.test + i), soft, false);
    context.globalAlpha = 1;
    let lost = 0;
    for (let i = 0; i < data.look; i++) {
      const right = !found || found.guess[0][i] === truth(0, i);
      lost += !right;
      const n = set().tasks[0].indexOf(truth(0, i));
      if (right) stroke(data.markers[n], place(i), data.colours.classes[n], true);
    }
    for (let i = 0; i < data.look; i++) if (found && found.guess[0][i] !== truth(0, i)) stroke("x", place(i), ink, false);
    part.lost.textContent = found ? `${lost} of ${data.look} old images are taken for another class` : `${data.look} images of each task`;
    part.map.setAttribute("aria-label", `Map of test latents of ${set().title} in the plane of their two main components: ${part.lost.textContent}.`);
    once("marks", [state.dataset], () => [
      ...set().tasks[0].map((c, n) => key([data.markers[n], "mark", data.colours.classes[n]], set().classes[c])),
      key(["x", "mark lost", ""], "old, wrong"), key(["o", "mark faint", ""], "new"),
    ]);
  }

  function drawRuns() {
    const mine = [...runs].filter(([name]) => name.startsWith(`${state.dataset},`));
    once("runs", [state.dataset, nameOf(state), mine.map(([, run]) => [run.history.length, run.hash, run.updates])], () => {
      const cell = (value) => html("td", { class: "num" }, value === undefined ? "–" : (100 * value).toFixed(1));
      const cells = (of) => [0, 1].flatMap((task) => MODES.map((mode) => cell(of(mode)?.[task])));
      const unit = (title) => html("tr", { class: "unit" }, html("th", { scope: "rowgroup", colspan: 9 }, title));
      const rows = mine.map(([name, run]) => html("tr", name === nameOf(state) ? { "aria-current": "true" } : {},
        html("th", { scope: "row" }, words(name)), html("td", { class: "num" }, run.updates),
        ...cells((mode) => run.history.at(-1)?.accuracy[mode]),
        html("td", {}, !run.hash ? "" : run.hash === data.stored[name].hash ? "same bits" : "other bits")));
      const paper = set().paper.flatMap(({ memory, published, ours, seeds }) => [
        html("tr", {}, html("th", { scope: "row" }, `${memory}, published`), html("td", {}),
          ...published.map((value) => html("td", { class: "middle", colspan: 3 }, value === null ? "–" : (100 * value).toFixed(1))), html("td", {})),
        html("tr", {}, html("th", { scope: "row" }, `${memory}, ours, ${seeds === 1 ? "one seed" : `mean of ${seeds} seeds`}`),
          html("td", {}), ...cells((mode) => ours[mode]), html("td", {})),
      ]);
      return [html("table", {},
        html("caption", {}, `Accuracy in %, ${set().title}, case 1`),
        html("thead", {}, html("tr", {}, html("th", { rowspan: 2, scope: "col" }, "Run"), html("th", { rowspan: 2, scope: "col", class: "num" }, "Updates"),
          html("th", { colspan: 3, scope: "colgroup" }, "old classes"), html("th", { colspan: 3, scope: "colgroup" }, "new classes"),
          html("th", { rowspan: 2, scope: "col" }, "Weights")),
        html("tr", {}, ...[...MODES, ...MODES].map((mode) => html("th", { class: "num", scope: "col" }, mode)))),
        html("tbody", {}, unit("Trained in this page"), ...(rows.length ? rows : [html("tr", {}, html("td", { colspan: 9 }, "none yet"))])),
        ...(paper.length ? [html("tbody", {}, unit("The paper's own runs of this case, with all images"), ...paper)] : []))];
    });
  }

  // -- a drawn image -------------------------------------------------------------------------------------------------

  const pad = part.pad.getContext("2d");
  let strokes = []; // lists of points, from 0 to 1
  let image = null; // 784 values from 0 to 1, as the network gets it
  let drawn = null, asked = "";
  let later;

  function sketch() {
    pad.clearRect(0, 0, 280, 280);
    Object.assign(pad, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#1d1f23" });
    trace(pad, strokes, ([x, y]) => [280 * x, 280 * y]);
  }
  function trace(context, lines, at) {
    for (const points of lines) {
      context.beginPath();
      points.forEach((point, i) => context[i ? "lineTo" : "moveTo"](...at(point)));
      if (points.length === 1) context.lineTo(...at(points[0]));
      context.stroke();
    }
  }
  // As the images of the set were made: scaled to a box of so many pixels, and for MNIST moved to its centre of mass.
  function raster() {
    const flat = strokes.flat();
    const [xs, ys] = [0, 1].map((k) => flat.map((point) => point[k]));
    const low = [Math.min(...xs), Math.min(...ys)], span = Math.max(Math.max(...xs) - low[0], Math.max(...ys) - low[1], 0.05);
    const middle = [xs, ys].map((values, k) => (low[k] + Math.max(...values)) / 2);
    const paint = (shift) => {
      const canvas = html("canvas", { width: 112, height: 112 });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      Object.assign(context, { lineWidth: 4 * set().stroke, lineCap: "round", lineJoin: "round", strokeStyle: "#ffffff" });
      const scale = (4 * (set().box - set().stroke)) / span;
      trace(context, strokes, (point) => point.map((value, k) => 56 + (value - middle[k]) * scale + 4 * shift[k]));
      const pixels = context.getImageData(0, 0, 112, 112).data;
      return Float32Array.from({ length: 784 }, (_, i) => {
        let total = 0;
        for (let k = 0; k < 16; k++) total += pixels[4 * ((4 * Math.floor(i / 28) + (k >> 2)) * 112 + 4 * (i % 28) + (k & 3)) + 3];
        return total / 16 / 255;
      });
    };
    const first = paint([0, 0]);
    if (!set().centred) return first;
    const mass = sum([...first]);
    return paint([13.5 - sum([...first].map((v, i) => v * (i % 28))) / mass, 13.5 - sum([...first].map((v, i) => v * Math.floor(i / 28))) / mass]);
  }
  function grey(canvas, values) {
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    values.forEach((value, i) => { pixels.data.fill(Math.round(255 * value), 4 * i, 4 * i + 3); pixels.data[4 * i + 3] = 255; });
    context.putImageData(pixels, 0, 0);
  }
  function judge() {
    clearTimeout(later);
    if (strokes.length) image = raster();
    if (!image) {
      part.judged.textContent = "Nothing is drawn yet: draw above, or take a test image.";
      return;
    }
    asked = state.dataset;
    ask({ ask: "draw", dataset: asked, image });
  }
  function clear() {
    strokes = [];
    image = drawn = null;
    forget("judged");
    sketch();
    redraw();
  }

  function drawJudged() {
    part.task.textContent = `one of the old classes: ${set().tasks[0].map((c) => set().classes[c]).join(", ")}`;
    if (drawn && drawn.dataset !== state.dataset) drawn = null;
    once("judged", [state.dataset, drawn], () => {
      grey(part.seen, drawn && image ? image : new Float32Array(784));
      const latent = drawn?.latent ?? []; // an empty canvas
      const [least, most] = [Math.min(...latent), Math.max(...latent)];
      grey(part.latent, latent.map((value) => (value - least) / (most - least || 1)));
      part.seen.setAttribute("aria-label", drawn ? "The image of 28 by 28 pixels" : "No image yet");
      part.latent.setAttribute("aria-label", drawn ? `The latent: ${latent.map((v) => v.toFixed(1)).join(", ")}` : "No latent yet");
      if (!drawn) return [];
      const rows = Object.entries(drawn.judged).map(([name, probabilities]) => {
        const best = probabilities.map((p, c) => [p, c]).sort((a, b) => b[0] - a[0])[0];
        const old = set().tasks[0].includes(best[1]);
        return html("tr", {}, html("th", { scope: "row" }, !name.includes(",") ? "before the second task" : runs.get(name)?.hash ? `after it, ${words(name)}` : `during it, ${words(name)}`),
          html("td", {}, html("strong", {}, set().classes[best[1]]), old ? "" : " (new)"),
          html("td", {}, html("span", { class: "bar", "--c": old ? FIRST : SECOND, "--w": `${(4 * best[0]).toFixed(2)}em` }), percent(best[0], 0)));
      });
      const hint = rows.length < 2 ? [html("p", {}, "Train above to see what a network says after the second task.")] : [];
      return [html("table", { class: "guesses" }, html("thead", {}, html("tr", {}, ...["Network", "Takes it for", "Probability"].map((w) => html("th", { scope: "col" }, w)))),
        html("tbody", {}, ...rows)), ...hint];
    });
  }

  part.pad.onpointerdown = (event) => {
    clearTimeout(later);
    part.pad.setPointerCapture(event.pointerId);
    strokes.push([]);
    part.pad.onpointermove(event);
  };
  part.pad.onpointermove = (event) => {
    if (!event.buttons || !strokes.length) return;
    const side = part.pad.clientWidth;
    strokes.at(-1).push(inside(event, part.pad).map((value) => clamp(value / side, 0, 1)));
    sketch();
  };
  part.pad.onpointerup = () => { later = setTimeout(judge, 500); };
  part.ask.onclick = judge;
  part.clear.onclick = clear;

  // The explorer of this page has test images of every case.
  let examples, number = 0;
  part.example.hidden = !document.getElementById("explorer-data");
  part.example.onclick = async () => {
    examples ??= await interactive.read("explorer");
    const run = examples.runs[`${state.dataset},1`];
    const sheet = run && examples.sheets[run.sheets[0]];
    if (!sheet) {
      part.judged.textContent = `This page has no test images of ${set().title}.`;
      return;
    }
    const picture = new Image();
    picture.onload = () => {
      const at = (number += 37) % run.label[0].length; // far from the one before
      const canvas = html("canvas", { width: 28, height: 28 });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 28 * (at % examples.columns), 28 * Math.floor(at / examples.columns), 28, 28, 0, 0, 28, 28);
      clear();
      image = Float32Array.from({ length: 784 }, (_, i) => context.getImageData(0, 0, 28, 28).data[4 * i] / 255);
      pad.imageSmoothingEnabled = false;
      pad.filter = "invert(1)";
      pad.drawImage(canvas, 0, 0, 280, 280);
      pad.filter = "none";
      judge();
    };
    picture.src = `data:image/webp;base64,${sheet}`;
  };

  // -- what one does -------------------------------------------------------------------------------------------------

  for (const name of FIELDS) part[name].onchange = (event) => choose({ [name]: event.target.value });
  root.querySelector("form").onsubmit = () => false;
  part.train.onclick = train;
  part.restart.onclick = () => { begin(nameOf(state)); redraw(); };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && going) {
      asleep = ask({ ask: "pause" });
      going = false;
    } else if (!document.hidden && asleep) {
      asleep = false;
      going = ask({ ask: "go" });
    }
    redraw();
  });

  part.body.hidden = false;
  addEventListener("hashchange", open);
  open();
  new ResizeObserver(redraw).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
});
