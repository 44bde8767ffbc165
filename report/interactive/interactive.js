// What the interactive parts of the page share: elements, marks and words.
const interactive = (() => {
  "use strict";

  function build(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("--")) element.style.setProperty(name, value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }
  const html = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) =>
    build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const text = (x, y, words, attributes) => svg("text", { x, y, ...attributes }, words);
  const line = (x1, y1, x2, y2, attributes) => svg("line", { x1, y1, x2, y2, ...attributes });
  const graphic = (width, height, label, children) =>
    svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label }, ...children);

  // By matplotlib's names; the cross is for what is lost, and for what is published.
  const SHAPES = {
    o: "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    s: "M-3.6,-3.6h7.2v7.2h-7.2Z",
    "^": "M0,-4.6L4.4,3.4H-4.4Z",
    D: "M0,-5L5,0L0,5L-5,0Z",
    v: "M0,4.6L4.4,-3.4H-4.4Z",
    x: "M-3.4,-3.4L3.4,3.4M-3.4,3.4L3.4,-3.4",
  };
  const mark = ([shape, classes, colour], x, y, more = "") =>
    svg("path", { d: SHAPES[shape], class: `${classes} ${more}`, "--c": colour, transform: `translate(${x} ${y})` });
  const key = (sign, words) => html("li", {}, svg("svg", { width: 12, height: 12 }, mark(sign, 6, 6)), words);

  const percent = (share, decimals = 1) => `${(100 * share).toFixed(decimals)}\u00a0%`;
  const sum = (values) => values.reduce((a, b) => a + b, 0);

  const inside = (event, element) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

  // The data of a part, or an error that says what to do.
  async function read(part) {
    if (typeof DecompressionStream !== "function") throw new Error("This needs a browser of 2023 or later.");
    try {
      const packed = new Blob([bytes(document.getElementById(`${part}-data`).textContent)]);
      return await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).json();
    } catch {
      throw new Error("The data of this page are cut short: get the page again.");
    }
  }

  // Run a part; where it cannot, say why in its place.
  async function start(part, main) {
    const root = document.getElementById(part);
    let data;
    try {
      data = await read(part);
    } catch (error) {
      root.replaceChildren(html("p", { role: "alert" }, error.message));
      return;
    }
    main(root, data);
  }

  // Fill an element of `part` anew only where what it shows has changed; `forget` it to draw it in any case.
  function keeper(part) {
    const seen = {};
    const once = (name, content, children) => {
      const now = JSON.stringify(content);
      if (seen[name] === now) return;
      seen[name] = now;
      part[name].replaceChildren(...children());
    };
    return { once, forget: (name) => { delete seen[name]; } };
  }

  // Labels at heights `y`: pushed apart where they would overlap, and none below `lowest`. The highest comes last.
  function spread(labels, lowest) {
    labels.sort((a, b) => a.y - b.y);
    labels.forEach((label, i) => { if (i) label.y = Math.max(label.y, labels[i - 1].y + 13); });
    labels.reverse().forEach((label, i) => { label.y = Math.min(label.y, lowest - 13 * i); });
    return labels;
  }

  // How dark a cell of a matrix is, in percent. A step at one half keeps every number readable on its cell.
  const shade = (share) => (share < 0.5 ? share && 5 + 31 * Math.sqrt(2 * share) : 76 + 24 * (2 * share - 1));

  return { start, read, bytes, keeper, spread, shade, SHAPES, html, svg, text, line, graphic, mark, key, percent, sum, inside, clamp };
})();
