// One state, drawn anew after every change, so that curve, map, matrix, image and table cannot disagree.
interactive.start("explorer", (root, data) => {
  "use strict";
  const part = Object.fromEntries([...root.querySelectorAll("[data-part]")].map((e) => [e.dataset.part, e]));
  const [FIRST, SECOND] = data.colours.tasks;
  const RUNS = Object.keys(data.runs);
  const SEED = String(data.seed); // of the runs whose latents and images are here
  const seedsOf = (name) => [SEED, ...Object.keys(data.runs[name].seeds)];
  const SEEDS = [...new Set(RUNS.flatMap(seedsOf))].sort((a, b) => a - b);
  const COLOURINGS = ["class", "task", "forgotten"];

  const { html, svg, text, line, graphic, mark, key, percent, sum, inside, clamp, spread, shade } = interactive;

  // -- state ---------------------------------------------------------------------------------------------------------

  const FIELDS = ["dataset", "case", "arm", "mode", "colour", "epoch", "point", "seed"];
  const state = {};
  let hover = {}; // the point of the map or the cell of the matrix that one is at, without having chosen it

  const run = () => data.runs[`${state.dataset},${state.case}`];
  const seeds = () => seedsOf(`${state.dataset},${state.case}`);
  const arms = (seed = state.seed) => (seed === SEED ? run() : run().seeds[seed]).arms;
  const arm = () => arms()[state.arm];
  const hasPoints = () => state.seed === SEED;
  const names = () => data.datasets[state.dataset].classes;
  const curves = (name = state.arm, seed = state.seed) =>
    arms(seed)[name].curve[state.mode].map((curve) => curve.map((v) => v / 1e4));
  const epochs = (name = state.arm, seed = state.seed) => arms(seed)[name].epochs; // those looked at
  const last = (name = state.arm) => epochs(name).at(-1);
  const seenBy = (e) => epochs().findLast((one) => one <= e); // the latest epoch looked at
  const epoch = () => (state.epoch === "end" ? last() : state.epoch);
  const size = () => run().label[0].length;
  const points = () => run().label.join("").length;
  const truth = (i) => Number(run().label.join("")[i]);
  const guess = (i) => Number(arm().predicted[state.mode].join("")[i]);
  const isOld = (i) => i < size();
  const isLost = (i) => isOld(i) && arm().last[state.mode][i] < epoch();
  const point = () => hover.point ?? state.point;
  const cell = () => hover.cell ?? (hasPoints() ? [truth(point()), guess(point())] : [order()[0], order()[0]]);
  const memoryOf = (name) => data.arms[name].replace("replay ", "").replace(" %", "\u00a0%");
  const title = () =>
    `${data.datasets[state.dataset].title}, case ${state.case}, ${data.arms[state.arm]}, ${data.evaluations[state.mode]}` +
    (seeds().length > 1 ? `, seed ${state.seed}` : "");

  // Take over what is wished for as far as it exists; the rest gives way to what does.
  function settle(wish) {
    const pick = (names, name) => (names.includes(name) ? name : names[0]);
    const below = (value, limit, otherwise) => (/^\d+$/.test(value) && value < limit ? Number(value) : otherwise);
    const near = RUNS.filter((name) => name.startsWith(`${wish.dataset},`));
    [state.dataset, state.case] = pick(near.length ? near : RUNS, `${wish.dataset},${wish.case}`).split(",");
    state.seed = pick(seeds(), wish.seed);
    state.arm = pick(Object.keys(arms()), wish.arm);
    state.mode = pick(Object.keys(data.evaluations), wish.mode ?? "mixed");
    state.colour = pick(COLOURINGS, wish.colour);
    state.epoch = below(wish.epoch, last(), "end");
    if (state.epoch !== "end") state.epoch = seenBy(state.epoch);
    const lost = hasPoints() ? arm().last[state.mode].findIndex((right) => right < last()) : 0;
    state.point = below(wish.point, points(), Math.max(lost, 0));
  }

  let frame, saying;
  const redraw = () => (frame ??= requestAnimationFrame(draw));

  // Browsers limit how often an address may change, and listeners how often they want to hear something.
  function say(changed) {
    clearTimeout(saying);
    saying = setTimeout(() => {
      if (changed) history.replaceState(null, "", address());
      part.summary.textContent = summary();
    }, 300);
  }
  function set(change) {
    settle({ ...state, ...change });
    part.copied.textContent = "";
    redraw();
    say(true);
  }
  function look(at, aloud) {
    hover = at;
    redraw();
    if (aloud) say(false);
  }

  const address = () => // the seed comes last, and only where it is not the first
    `#explore=${FIELDS.filter((name) => name !== "seed" || !hasPoints()).map((name) => state[name]).join(",")}`;
  function open() {
    const found = /^#explore=(.*)$/.exec(location.hash.replaceAll("%2C", ","));
    if (!found && state.arm) return;
    const values = found ? found[1].split(",") : [];
    settle(Object.fromEntries(FIELDS.map((name, i) => [name, values[i]])));
    redraw();
    if (found) root.scrollIntoView();
  }

  const summary = () =>
    [title(), ...["reading", "lost", "counts", "place"].map((name) => part[name].textContent)].join(". ");
  function counted() {
    const [t, p] = cell();
    const row = arm().confusion[state.mode][t];
    return `${names()[t]} ${t === p ? "recognised" : `taken for ${names()[p]}`}: ${row[p]} of ${sum(row)}`;
  }
  function memory(i) {
    const right = arm().last[state.mode][i];
    if (right < 0) return "never";
    if (right === 0) return "only before the second task";
    return right === last() ? "to the end" : `until epoch ${right}`;
  }

  // -- drawing -------------------------------------------------------------------------------------------------------

  const { once, forget } = interactive.keeper(part);

  function draw() {
    frame = undefined;
    if (!root.clientWidth) return; // in print
    for (const one of [drawControls, drawCurve, drawMatrix, drawMap, drawPoint, drawRow]) one();
  }

  function drawControls() {
    const arrow = (tasks) => tasks.map((classes) => classes.join("")).join(" → ");
    const offered = {
      dataset: Object.entries(data.datasets).map(([name, { title }]) =>
        [name, title, RUNS.some((other) => other.startsWith(`${name},`))]),
      case: Object.entries(data.cases).map(([number, tasks]) =>
        [number, `${number}: ${arrow(tasks)}`, RUNS.includes(`${state.dataset},${number}`)]),
      arm: Object.keys(data.arms).map((name) => [name, memoryOf(name), name in arms()]),
      mode: Object.keys(data.evaluations).map((name) => [name, name, true]),
      colour: COLOURINGS.map((name) => [name, name, true]),
      seed: SEEDS.map((seed) => [seed, seed, seeds().includes(seed)]),
    };
    for (const [name, options] of Object.entries(offered)) {
      const native = part[name].matches("select");
      once(name, options, () => options.map(([value, label, there]) => {
        const words = there ? label : `${label} (not run)`;
        const attributes = { value, ...(there ? {} : { disabled: "" }) };
        if (native) return html("option", attributes, words);
        return html("label", {}, html("input", { type: "radio", name: `explorer-${name}`, ...attributes }), words);
      }));
      for (const made of part[name].querySelectorAll("option, input")) {
        made[native ? "selected" : "checked"] = made.value === state[name];
      }
    }
    part.seed.parentElement.hidden = SEEDS.length < 2;
    part.notebook.href = (hasPoints() ? run() : run().seeds[state.seed]).notebook;
  }

  const LEFT = 46, RIGHT = 76; // of the curve's axes, in pixels; the slider below has the same
  // Of all seeds, so that the axis stays when one changes the seed.
  const longest = () =>
    Math.max(...seeds().flatMap((seed) => Object.keys(arms(seed)).map((name) => epochs(name, seed).at(-1))));
  const across = (e) => LEFT + ((part.curve.clientWidth - LEFT - RIGHT) * e) / longest();

  function drawCurve() {
    const [kept, learned] = curves();
    const published = arm().published.slice(1).reverse(); // of old and new classes
    const now = epoch();
    const place = epochs().indexOf(now);
    part.reading.textContent = `epoch ${now} of ${last()}: old ${percent(kept[place])}, new ${percent(learned[place])}`;
    Object.assign(part.epoch, { max: last(), value: now });
    part.epoch.style.left = `${across(0) - 8}px`;
    part.epoch.style.width = `${across(last()) - across(0) + 16}px`;
    part.epoch.setAttribute("aria-valuetext", part.reading.textContent);
    const width = part.curve.clientWidth;
    once("curve", [width, state], () => {
      const height = Math.round(Math.min(330, Math.max(210, width * 0.56)));
      const top = 8, bottom = height - 34;
      const y = (value) => bottom - (bottom - top) * value;
      const path = (curve, name, seed) =>
        `M${curve.map((value, i) => `${across(epochs(name, seed)[i]).toFixed(1)},${y(value).toFixed(1)}`).join("L")}`;
      const step = [1, 2, 5, 10, 20, 50, 100].find((s) => longest() / s <= width / 55);
      const drawn = [];
      for (const value of [0, 0.25, 0.5, 0.75, 1]) {
        drawn.push(line(LEFT, y(value), width - RIGHT, y(value), { class: value ? "grid" : "axis" }));
        drawn.push(text(LEFT - 6, y(value) + 4, percent(value, 0), { "text-anchor": "end" }));
      }
      const centred = { "text-anchor": "middle" };
      for (let e = 0; e <= longest(); e += step) drawn.push(text(across(e), bottom + 15, e, centred));
      drawn.push(text((LEFT + width - RIGHT) / 2, bottom + 30, "epoch of the second task", centred));

      // Old classes under every arm, each named at its right end; names are pushed apart where they would overlap.
      const labels = Object.keys(arms()).map((name) => ({ name, curve: curves(name)[0] }));
      for (const label of labels) label.y = y(label.curve.at(-1)) + 4;
      for (const { name, curve, y: height } of spread(labels, bottom + 4)) {
        const [kind, colour] = name === state.arm ? ["strong", FIRST] : ["name", data.colours.arms[name]];
        const end = y(curve.at(-1));
        if (kind === "name") drawn.push(svg("path", { class: "line other", d: path(curve, name), "--c": colour }));
        drawn.push(line(across(last(name)), end, width - RIGHT, end, { class: "stopped", "--c": colour }));
        drawn.push(text(width - RIGHT + 20, height, memoryOf(name), { class: kind, "--c": colour }));
      }
      for (const seed of seeds().filter((other) => other !== state.seed)) {
        curves(state.arm, seed).forEach((curve, i) =>
          drawn.push(svg("path", { class: "line seed", d: path(curve, state.arm, seed), "--c": [FIRST, SECOND][i] })));
      }
      drawn.push(line(across(now), top - 4, across(now), bottom, { class: "now" }));
      [[learned, SECOND, "line second"], [kept, FIRST, "line"]].forEach(([curve, colour, kind]) => {
        drawn.push(svg("path", { class: kind, d: path(curve), "--c": colour }));
        drawn.push(svg("circle", { class: "dot", cx: across(now), cy: y(curve[place]), r: 4.5, "--c": colour }));
      });
      published.forEach((value, i) => {
        if (value) drawn.push(mark(["x", "cross", [FIRST, SECOND][i]], across(last()) + 10, y(Number(value))));
      });
      const ends = (curve, theirs) =>
        `from ${percent(curve[0])} to ${percent(curve.at(-1))}${theirs ? ` (published: ${percent(theirs)})` : ""}`;
      return [graphic(width, height, `Forgetting curve. ${title()}: in ${last()} epochs of the second task, accuracy ` +
        `on old classes goes ${ends(kept, published[0])}, on new classes ${ends(learned, published[1])}.`, drawn)];
    });
    const stroke = (kind, colour) =>
      svg("svg", { width: 22, height: 12 }, svg("path", { class: kind, d: "M0,6H22", "--c": colour }));
    once("lines", [arm().published.some(Boolean), seeds().length > 1], () => [
      html("li", {}, stroke("line", FIRST), "old classes"),
      html("li", {}, stroke("line second", SECOND), "new classes"),
      html("li", {}, stroke("line other", "var(--soft)"), "old classes, other memories"),
      ...(seeds().length > 1 ? [html("li", {}, stroke("line seed", FIRST), "other seeds")] : []),
      ...(arm().published.some(Boolean) ? [key(["x", "cross", FIRST], "published")] : []),
    ]);
  }

  let spots = []; // where the points are on the map, in pixels
  const SIGNS = {
    old: ["o", "mark", FIRST], new: ["o", "mark open", SECOND],
    lost: ["x", "mark lost", ""], beside: ["o", "mark faint", ""],
  };
  const signOf = (n) => [data.markers[n % 5], n < 5 ? "mark" : "mark open", data.colours.classes[n % 5]];
  const sign = (i) => {
    if (state.colour === "class") return signOf(truth(i));
    if (state.colour === "task") return isOld(i) ? SIGNS.old : SIGNS.new;
    return !isOld(i) ? SIGNS.beside : isLost(i) ? SIGNS.lost : SIGNS.old;
  };

  function drawMap() {
    part.map.hidden = part.colour.parentElement.hidden = !hasPoints();
    if (!hasPoints()) {
      part.lost.textContent = `Latents and images are kept of seed ${SEED} alone.`;
      once("marks", [], () => []);
      return;
    }
    const width = part.map.clientWidth;
    const height = Math.round(width * 0.7);
    const lost = sum(run().label[0].split("").map((_, i) => Number(isLost(i))));
    part.lost.textContent = `${lost} of ${size()} old images lost by epoch ${epoch()}`;
    once("map", [width, state, hover], () => {
      const flat = run().xy.flat();
      const scale = (values, low, high) => {
        const [least, most] = [Math.min(...values), Math.max(...values)];
        return values.map((value) => low + ((value - least) / (most - least)) * (high - low));
      };
      const xs = scale(flat.filter((_, i) => i % 2 === 0), 32, width - 10);
      const ys = scale(flat.filter((_, i) => i % 2), height - 30, 10);
      spots = xs.map((x, i) => [x, ys[i]]);
      const aside = (i) => hover.cell && (truth(i) !== hover.cell[0] || guess(i) !== hover.cell[1]);
      const [x, y] = spots[point()];
      const share = run().variance.map((value) => percent(value, 0));
      const drawn = [
        line(20, height - 18, width, height - 18, { class: "axis" }), line(20, 0, 20, height - 18, { class: "axis" }),
        text(width, height - 4, `first component, ${share[0]} of the variance`, { "text-anchor": "end" }),
        text(0, 0, `second component, ${share[1]}`, { "text-anchor": "end", transform: "translate(12 0) rotate(-90)" }),
        ...spots.map(([x, y], i) => mark(sign(i), x.toFixed(1), y.toFixed(1), aside(i) ? "aside" : "")),
        ...["halo", "ring"].map((kind) => svg("circle", { class: kind, cx: x, cy: y, r: 9 })),
        mark(sign(point()), x, y),
      ];
      return [graphic(width, height, `Latent map. ${title()}: ${points()} test images in the plane of the first task's ` +
        `two main components; ${lost} of ${size()} old ones are lost by epoch ${epoch()}.`, drawn)];
    });
    const legends = {
      class: () => names().map((name, n) => key(signOf(n), name)),
      task: () => [key(SIGNS.old, "first task (old)"), key(SIGNS.new, "second task (new)")],
      forgotten: () => [key(SIGNS.old, "old, right now or later"), key(SIGNS.lost, "old, wrong from now on"),
        key(SIGNS.beside, "new")],
    };
    once("marks", [state.dataset, state.colour], legends[state.colour]);
  }

  const order = () => data.cases[state.case].flat();
  let grid = { left: 0, top: 0, side: 1 }; // of the matrix, in pixels

  function drawMatrix() {
    part.counts.textContent = counted();
    const width = part.matrix.clientWidth;
    once("matrix", [width, state, cell()], () => {
      const counts = arm().confusion[state.mode];
      const long = Math.max(...names().map((name) => name.length));
      const room = 20 + 5.8 * long;
      const side = (width - room) / 10;
      grid = { left: room, top: long > 3 ? room : 36, side };
      const { left, top } = grid;
      const middle = (i) => (i + 0.5) * side;
      const drawn = [
        text(left + 5 * side, 10, "predicted, after the last epoch", { "text-anchor": "middle" }),
        text(0, 0, "true", { "text-anchor": "middle", transform: `translate(10 ${top + 5 * side}) rotate(-90)` }),
      ];
      order().forEach((t, i) => {
        const bold = (n) => (cell()[n] === t ? { class: "strong" } : {});
        drawn.push(text(left - 6, top + middle(i) + 4, names()[t], { "text-anchor": "end", ...bold(0) }));
        drawn.push(long > 3
          ? text(0, 0, names()[t], { transform: `translate(${left + middle(i) + 4} ${top - 6}) rotate(-90)`, ...bold(1) })
          : text(left + middle(i), top - 6, names()[t], { "text-anchor": "middle", ...bold(1) }));
        const whole = sum(counts[t]);
        order().forEach((p, j) => {
          const share = counts[t][p] / whole;
          drawn.push(svg("rect", { class: "cell", x: left + j * side + 0.5, y: top + i * side + 0.5, width: side - 1,
            height: side - 1, "--c": i < 5 ? FIRST : SECOND, "--p": `${shade(share).toFixed(0)}%` }));
          if (counts[t][p]) {
            drawn.push(text(left + middle(j), top + middle(i) + 3.5, counts[t][p],
              { class: share < 0.5 ? "count" : "count full", "--s": `${Math.min(10, 0.42 * side)}px` }));
          }
        });
      });
      const half = data.cases[state.case][0].length;
      [[0, half, FIRST], [half, 10 - half, SECOND]].forEach(([from, length, colour]) => {
        drawn.push(svg("rect", { class: "block", x: left + from * side, y: top + from * side, width: length * side,
          height: length * side, "--c": colour }));
      });
      const [t, p] = cell().map((n) => order().indexOf(n));
      drawn.push(svg("rect", { class: "ring", x: left + p * side, y: top + t * side, width: side, height: side }));
      const wrong = order().flatMap((t) => order().filter((p) => p !== t).map((p) => [counts[t][p], t, p]));
      const [most, worst, taken] = wrong.reduce((a, b) => (b[0] > a[0] ? b : a));
      const right = data.cases[state.case].map((task) =>
        percent(sum(task.map((n) => counts[n][n])) / sum(task.map((n) => sum(counts[n])))));
      return [graphic(width, top + 10 * side + 1, `Confusion matrix after the last epoch. ${title()}: ${right[0]} of the ` +
        `old and ${right[1]} of the new test images are right; most often ${names()[worst]} is taken for ` +
        `${names()[taken]}, ${most} times.`, drawn)];
    });
  }

  const sheets = {};
  function thumbnail(i) {
    const canvas = html("canvas", { class: "image", width: 28, height: 28, "aria-hidden": "true" });
    const name = run().sheets[isOld(i) ? 0 : 1];
    if (!data.sheets[name]) return html("div", { class: "missing" }, "no image");
    if (!sheets[name]) {
      sheets[name] = new Image();
      sheets[name].onload = () => { forget("point"); redraw(); };
      sheets[name].src = `data:image/webp;base64,${data.sheets[name]}`;
    }
    const n = isOld(i) ? i : i - size();
    const [x, y] = [28 * (n % data.columns), 28 * Math.floor(n / data.columns)];
    if (sheets[name].complete) canvas.getContext("2d").drawImage(sheets[name], x, y, 28, 28, 0, 0, 28, 28);
    return canvas;
  }

  function drawPoint() {
    part.point.parentElement.hidden = !hasPoints();
    if (!hasPoints()) {
      part.place.textContent = "";
      return;
    }
    const i = point();
    const [t, p] = [truth(i), guess(i)];
    part.place.textContent = `${i + 1} of ${points()} on the map`;
    once("point", [state, i, cell()], () => {
      const facts = [["Class", names()[t]], ["Task", isOld(i) ? "first (old)" : "second (new)"],
        ["At the end", t === p ? "recognised" : `taken for ${names()[p]}`], ...(isOld(i) ? [["Right", memory(i)]] : [])];
      const like = [...spots.keys()].filter((k) => truth(k) === cell()[0] && guess(k) === cell()[1]);
      return [
        thumbnail(i),
        html("dl", {}, ...facts.flatMap(([term, value]) => [html("dt", {}, term), html("dd", {}, value)])),
        html("p", { class: "alike" }, `${counted()} test images; ${like.length} of them on the map`),
        html("div", { class: "strip" }, ...like.map(thumbnail)),
      ];
    });
  }

  function drawRow() {
    once("row", [state.dataset, state.case, state.arm, state.mode, state.seed], () => {
      const heads = data.measures.map((measure) => html("th", { colspan: 2, scope: "colgroup" }, measure));
      const below = data.measures.flatMap(() => ["pub\u00adlished", "ours"]);
      const rows = Object.entries(arms()).map(([name, { published, ours }]) =>
        html("tr", name === state.arm ? { "aria-current": "true" } : {}, html("th", { scope: "row" }, memoryOf(name)),
          ...ours[state.mode].flatMap(([value, difference, shade], i) => [
            html("td", { class: "num" }, published[i] ?? "–"),
            html("td", { class: `num diff-${shade ?? 0}` }, value,
              ...(difference ? [html("br", {}), html("span", { class: "delta" }, difference)] : [])),
          ])));
      return [html("table", {},
        html("caption", {}, `${data.datasets[state.dataset].title}, case ${state.case}, ${data.evaluations[state.mode]}` +
          (seeds().length > 1 ? `, seed ${state.seed}` : "")),
        html("thead", {}, html("tr", {}, html("th", { rowspan: 2, scope: "col" }, "Memory"), ...heads),
          html("tr", {}, ...below.map((word) => html("th", { class: "num", scope: "col" }, word)))),
        html("tbody", {}, ...rows))];
    });
  }

  // -- what one does -------------------------------------------------------------------------------------------------

  for (const name of ["dataset", "case", "arm", "mode", "colour", "seed"]) {
    const anew = ["dataset", "case"].includes(name) ? { point: undefined } : {}; // another run has other points
    part[name].onchange = (event) => {
      hover = {};
      set({ [name]: event.target.value, ...anew });
    };
  }
  root.querySelector("form").onsubmit = () => false;

  const after = (e) => epochs().find((one) => one >= e) ?? last();
  // To the next epoch looked at, in the direction of the move: a step of one must not be a step back.
  part.epoch.oninput = () => {
    const wish = Number(part.epoch.value);
    set({ epoch: wish > epoch() ? after(wish) : wish });
  };
  part.curve.onpointerdown = part.curve.onpointermove = (event) => {
    if (!event.buttons) return;
    part.curve.setPointerCapture(event.pointerId);
    const share = (inside(event, part.curve)[0] - LEFT) / (part.curve.clientWidth - LEFT - RIGHT);
    set({ epoch: clamp(Math.round(share * longest()), 0, last()) });
  };

  let playing;
  function play(on) {
    clearInterval(playing);
    const step = () => (epoch() < last() ? set({ epoch: after(epoch() + 1) }) : play(false));
    playing = on && setInterval(step, clamp(5000 / epochs().length, 40, 250)); // milliseconds: five seconds in all
    part.play.setAttribute("aria-pressed", Boolean(on));
  }
  part.play.onclick = () => {
    if (!playing) set({ colour: "forgotten", epoch: epoch() === last() ? 0 : epoch() });
    play(!playing);
  };

  function nearest(event) {
    const [x, y] = inside(event, part.map);
    const distances = spots.map(([a, b]) => Math.hypot(a - x, b - y));
    const least = Math.min(...distances);
    return least < 30 ? distances.indexOf(least) : undefined;
  }
  part.map.onpointermove = (event) => { if (nearest(event) !== hover.point) look({ point: nearest(event) }); };
  part.map.onpointerleave = () => look({});
  part.map.onpointerdown = (event) => {
    const chosen = nearest(event);
    if (chosen !== undefined) set({ point: chosen });
  };
  part.map.onkeydown = (event) => {
    const towards = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [x, y] = spots[state.point];
    let chosen = { PageUp: state.point - 1, PageDown: state.point + 1, Home: 0, End: points() - 1 }[event.key];
    if (towards) {
      // Straight ahead is near, sideways is far.
      const cost = spots.map(([a, b]) => {
        const ahead = (a - x) * towards[0] + (b - y) * towards[1];
        return ahead > 0.5 ? ahead + 2 * Math.abs((a - x) * towards[1] + (b - y) * towards[0]) : Infinity;
      });
      const least = Math.min(...cost);
      chosen = least < Infinity ? cost.indexOf(least) : state.point;
    }
    if (chosen === undefined) return;
    event.preventDefault();
    hover = {};
    set({ point: clamp(chosen, 0, points() - 1) });
  };

  part.matrix.onpointerdown = part.matrix.onpointermove = (event) => {
    const [x, y] = inside(event, part.matrix);
    const [t, p] = [(y - grid.top) / grid.side, (x - grid.left) / grid.side].map(Math.floor).map((n) => order()[n]);
    look(t === undefined || p === undefined ? {} : { cell: [t, p] });
  };
  part.matrix.onpointerleave = (event) => { if (event.pointerType !== "touch") look({}); };
  part.matrix.onblur = () => look({});
  part.matrix.onkeydown = (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    look({ cell: cell().map((n, k) => order()[clamp(order().indexOf(n) + step[k], 0, 9)]) }, true);
  };

  part.share.onclick = async () => {
    history.replaceState(null, "", address());
    try {
      await navigator.clipboard.writeText(location.href);
      part.copied.textContent = "Copied.";
    } catch {
      part.copied.textContent = "The address of this page is the link: copy it from there.";
    }
  };

  part.body.hidden = false;
  addEventListener("hashchange", open);
  open();
  new ResizeObserver(redraw).observe(root);
});
