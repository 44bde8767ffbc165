// Where a number comes from: pointing at one, or focusing it, shows the runs behind it.
(() => {
  const { runs, names, made } = JSON.parse(document.getElementById("provenance").textContent);
  for (const run of runs) run.arms = run.arms.map(([name, epochs, seconds, by]) => ({ name: names[name], epochs, seconds, made: made[by] }));
  const time = s => s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
  const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const distinct = values => [...new Set(values)];
  // "0-2,5" is 0, 1, 2 and 5
  const numbers = text => text.split(",").flatMap(part => {
    const [first, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, place) => first + place);
  });
  const sum = values => values.reduce((a, b) => a + b, 0);

  function told(references) {
    const found = references.split(" ").flatMap(group => {
      const [places, arms] = group.split(":").map(numbers);
      return places.flatMap(run => arms.map(arm => ({ run: runs[run], arm: runs[run].arms[arm] })));
    });
    const of = distinct(found.map(f => f.run));
    const arms = found.map(f => f.arm);
    const took = `${plural(sum(arms.map(a => a.epochs)), "epoch")} in ${time(sum(arms.map(a => a.seconds)))}`;
    const where = `${distinct(arms.map(a => a.made[0])).join("; ")}; code ${distinct(arms.map(a => a.made[1])).join(", ")}`;
    if (of.length > 1) {
      const sets = distinct(of.map(r => r.title.split(", case")[0])).map(set => {
        const cases = distinct(of.filter(r => r.title.startsWith(set + ",")).map(r => r.title.match(/case (\d+)/)[1]));
        return `${set} ${cases.length > 1 ? "cases" : "case"} ${cases.join(", ")}`;
      });
      const seeds = distinct(of.map(r => r.title.match(/seed (\d+)/)[1]));
      const from = `From ${plural(found.length, "arm")} of ${plural(of.length, "run")}, profile ${distinct(of.map(r => r.profile)).join(" and ")}`;
      return [from, `${sets.join("; ")}; seed ${seeds.join(", ")}`, took, where];
    }
    const title = `${of[0].title}: ${distinct(arms.map(a => a.name)).join(", ")}`;
    return [title, `profile ${of[0].profile}`, took, where, of[0].page];
  }

  const tip = document.createElement("div");
  tip.id = "from-tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let shown = null;

  function show(element) {
    hide();
    const [title, ...lines] = told(element.dataset.from);
    const head = document.createElement("strong");
    head.textContent = title;
    tip.replaceChildren(head, ...lines.map(line => Object.assign(document.createElement("span"), { textContent: line })));
    tip.hidden = false;
    element.setAttribute("aria-describedby", tip.id);
    shown = element;
    const at = element.getBoundingClientRect(), box = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left + at.width / 2 - box.width / 2, document.documentElement.clientWidth - box.width - 8));
    const above = at.top - box.height - 8;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 8 ? above : at.bottom + 8) + scrollY}px`;
  }
  function hide() {
    if (shown) shown.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  }

  const target = event => event.target instanceof Element ? event.target.closest("[data-from]") : null;
  for (const type of ["pointerover", "focusin"]) document.addEventListener(type, event => {
    const element = target(event);
    if (element) { if (element !== shown) show(element); } else if (!tip.contains(event.target) && shown !== document.activeElement) hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
})();
