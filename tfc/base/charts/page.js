"use strict";
// What a report can do beside being read: tables are sorted by their headers, points of figures tell their values.
(() => {
  // "1,234.5 kB", "36.3x", "0.836 ± 0.008", "2.1x (1.9-2.2)": sorted by the first number. Others, such as "-", are none.
  const NUMBER = /^([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)(?:\s*(?:x|%|[kMG]?B|ms|s|h)?)?(?:\s*(?:±|\().*)?$/i;
  const NOTHING = /^(|-|–|not .*)$/i;
  const textOf = (row, column) => row.cells[column].textContent.trim();
  const numberOf = text => {
    const found = NUMBER.exec(text);
    return found ? parseFloat(found[1].replaceAll(",", "")) : NaN;
  };

  function sort(table, column, descending) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map(row => ({ row, text: textOf(row, column) }));
    const given = rows.filter(each => !NOTHING.test(each.text));
    const missing = rows.filter(each => NOTHING.test(each.text));  // last, whichever way
    const numeric = given.every(each => !Number.isNaN(numberOf(each.text)));
    const compare = numeric
      ? (a, b) => numberOf(a.text) - numberOf(b.text)
      : (a, b) => a.text.localeCompare(b.text, "en", { numeric: true });
    given.sort((a, b) => descending ? compare(b, a) : compare(a, b));
    body.append(...given.concat(missing).map(each => each.row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.title = "sort by this column";
      header.append(button);
      button.addEventListener("click", () => {
        const descending = header.getAttribute("aria-sort") === "ascending";
        headers.forEach(other => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  }

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");  // a point that has the focus is read by its own name
  document.body.append(tip);
  let shown = null;

  // The curve of the point that is shown stands out: legend, line and marks of the others fade.
  function fade(point, on) {
    const curve = point.closest("[data-curve]");
    if (!curve) return;
    for (const part of point.closest("svg").querySelectorAll("[data-curve]"))
      part.classList.toggle("faded", on && part.dataset.curve !== curve.dataset.curve);
  }

  function hide() {
    if (shown) {
      shown.classList.remove("shown");
      fade(shown, false);
    }
    shown = null;
    tip.hidden = true;
  }

  function place() {
    const at = shown.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const right = at.right + 10 + size.width < innerWidth;
    const left = right ? at.right + 10 : Math.max(4, at.left - 10 - size.width);
    const top = Math.min(Math.max(4, at.top + at.height / 2 - size.height / 2), innerHeight - size.height - 4);
    tip.style.left = `${left}px`;
    tip.style.top = `${top}px`;
  }

  function show(point) {
    if (shown === point) return;
    hide();
    shown = point;
    point.classList.add("shown");
    fade(point, true);
    tip.textContent = point.getAttribute("aria-label").replaceAll("; ", "\n");
    tip.hidden = false;
    place();
  }

  for (const figure of document.querySelectorAll("svg[role=img]")) {
    const points = [...figure.querySelectorAll(".point")];
    if (!points.length) continue;
    figure.setAttribute("role", "group");
    for (const point of points) {
      const title = point.querySelector("title");  // the browser's own tip would cover ours
      point.setAttribute("aria-label", title.textContent);
      point.setAttribute("role", "img");
      point.setAttribute("tabindex", "-1");
      title.remove();
      point.addEventListener("focus", () => show(point));
      point.addEventListener("blur", hide);
    }
    // One stop of the Tab key per figure; arrows go along a curve and from curve to curve.
    let current = points[0];
    current.setAttribute("tabindex", "0");
    function move(to) {
      if (!to) return;
      current.setAttribute("tabindex", "-1");
      current = to;
      current.setAttribute("tabindex", "0");
      current.focus();
      show(current);
    }
    const curves = [...figure.querySelectorAll("g.curve")].map(curve => [...curve.querySelectorAll(".point")])
      .filter(curve => curve.length);
    figure.addEventListener("keydown", event => {
      if (event.key === "Escape") return hide();
      const index = points.indexOf(current), curve = curves.findIndex(each => each.includes(current));
      const along = curve < 0 ? points : curves[curve], place = along.indexOf(current);
      const neighbour = by => {
        const other = curves[(curve + by + curves.length) % curves.length];
        return other[Math.min(place, other.length - 1)];
      };
      const targets = {
        ArrowRight: () => along[place + 1],
        ArrowLeft: () => along[place - 1],
        ArrowDown: () => curve < 0 ? points[index + 1] : neighbour(1),
        ArrowUp: () => curve < 0 ? points[index - 1] : neighbour(-1),
        Home: () => along[0],
        End: () => along[along.length - 1],
      };
      if (!(event.key in targets)) return;
      event.preventDefault();
      move(targets[event.key]());
    });
    // The nearest point tells, so that small marks need not be hit.
    function tell(event) {
      let best = null, least = 24 * 24;
      for (const point of points) {
        const box = point.getBoundingClientRect();
        const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
        const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
        if (dx * dx + dy * dy < least) [best, least] = [point, dx * dx + dy * dy];
      }
      if (best) show(best); else hide();
    }
    figure.addEventListener("pointermove", tell);
    figure.addEventListener("pointerdown", tell);
    // A finger leaves when it is lifted: what it found stays until the next touch.
    figure.addEventListener("pointerleave", event => { if (event.pointerType !== "touch") hide(); });
  }
  // What has the focus keeps its tip when the browser scrolls to it.
  addEventListener("scroll", () => {
    if (shown && shown === document.activeElement) place(); else hide();
  }, { passive: true, capture: true });
})();
