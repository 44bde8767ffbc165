// Figures that scroll can be reached by keyboard. Tables of the appendix are closed until they are asked for: by a click, by a link to them, by the browser's search, or in print.
(() => {
  const all = document.querySelectorAll("details.on-demand");
  function open() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const own = target.querySelector("details.on-demand"), around = target.closest("details.on-demand");
    // A link to a section leads to its first lines; a link to a table opens it.
    if (/^(tbl|fig)-/.test(target.id) && own) own.open = true;
    if (around) around.open = true;
  }
  addEventListener("hashchange", open);
  // The same link once more changes no hash.
  document.addEventListener("click", event => { if (event.target.closest?.('a[href^="#tbl-"]')) setTimeout(open); });
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...all].filter(each => !each.open);
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of closed) each.open = false; });
  open();

  const figures = [...document.querySelectorAll("figure.float p:has(> img)")];
  const reach = () => {
    const scrolling = figures.map(each => each.scrollWidth > each.clientWidth); // all read first, then all written
    figures.forEach((each, n) => { if (scrolling[n]) each.tabIndex = 0; else each.removeAttribute("tabindex"); });
  };
  addEventListener("resize", reach);
  reach();
})();
