// A chart of one or two lines over time, with the promised bound. Holes in the data stay holes.

import { h, s } from "./dom.js";
import { UNKNOWN, amount } from "./words.js";

const WIDTH = 300;
const HEIGHT = 100;

// lines: [{name, values}], times: seconds since the epoch, bound: number or null, span: seconds shown.
export function chart({ title, sign = null, times, lines, unit, bound = null, span, end }) {
  const known = lines.flatMap((line) => line.values).filter((v) => v !== null && v !== undefined);
  const most = known.length ? Math.max(...known) : 0;
  const top = Math.max(most, bound ?? 0) * 1.18 || 1;
  const x = (time) => WIDTH * (1 - (end - time) / span);
  const y = (value) => HEIGHT * (1 - value / top);
  const latest = lines.map((line) => line.values.at(-1) ?? null);
  const over = bound !== null && latest[0] !== null && latest[0] > bound;
  const said = `${title}: now ${amount(latest[0], unit)}, at most ${amount(known.length ? most : null, unit)}${bound === null ? "" : `, promised at most ${amount(bound, unit)}`}`;
  const plot = h("div", { class: "plot" });
  const one = lines.length === 1;
  const readout = h("span", { class: over ? "now broken" : "now" }, one && amount(latest[0], unit));
  if (!known.length) {
    plot.append(h("span", { class: "nothing" }, `${UNKNOWN}: nothing was measured`));
  } else {
    plot.append(...[
      s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": said },
        drawn(lines, times, x, y, bound, title.replaceAll(/\W+/g, "-")),
        s("line", { class: "at", visibility: "hidden", y1: 0, y2: HEIGHT }),
      ),
      most > (bound ?? 0) && h("small", { class: "top" }, amount(most, unit)),
    ].filter(Boolean));
    plot.onpointermove = (event) => point(event, plot, readout, { times, lines, unit, span, end });
    plot.onpointerleave = () => unpoint(plot, readout, one ? amount(latest[0], unit) : "");
  }
  const began = span >= 120 ? `${Math.round(span / 60)} min ago` : `${span} s ago`;
  return h("figure", { class: "chart" }, h("figcaption", {}, sign, h("h3", {}, title), readout), plot,
    h("div", { class: "axis" }, h("span", {}, began), bound !== null && h("span", { class: "promised" }, `promised at most ${amount(bound, unit)}`), h("span", {}, "now")), !one && legend(lines, latest, unit));
}

function drawn(lines, times, x, y, bound, id) {
  const parts = [];
  const paths = lines.map((line) => path(line.values, times, x, y));
  parts.push(s("path", { class: "area", d: area(lines[0].values, times, x, y) }));
  if (bound === null) {
    paths.forEach((d, i) => parts.push(s("path", { class: i ? "line second" : "line", d })));
    return parts;
  }
  const edge = y(bound);
  parts.push(
    s("clipPath", { id: `${id}-over` }, s("rect", { x: 0, y: -1, width: WIDTH, height: edge + 1 })),
    s("clipPath", { id: `${id}-under` }, s("rect", { x: 0, y: edge, width: WIDTH, height: HEIGHT - edge + 1 })),
    s("path", { class: "line", d: paths[0], "clip-path": `url(#${id}-under)` }),
    s("path", { class: "line over", d: paths[0], "clip-path": `url(#${id}-over)` }),
    s("line", { class: "bound", x1: 0, x2: WIDTH, y1: edge, y2: edge }),
  );
  return parts;
}

const spot = (i, values, times, x, y) => `${x(times[i]).toFixed(2)} ${y(values[i]).toFixed(2)}`;
const there = (value) => value !== null && value !== undefined;

function* runs(values) {
  let first = -1;
  for (let i = 0; i <= values.length; i += 1) {
    if (there(values[i]) && first < 0) first = i;
    if (!there(values[i]) && first >= 0) {
      yield [first, i - 1];
      first = -1;
    }
  }
}

function path(values, times, x, y) {
  let d = "";
  for (const [first, last] of runs(values)) {
    d += `M${spot(first, values, times, x, y)}`;
    for (let i = first + 1; i <= last; i += 1) d += `L${spot(i, values, times, x, y)}`;
    if (first === last) d += "h0.01";
  }
  return d;
}

function area(values, times, x, y) {
  let d = "";
  for (const [first, last] of runs(values)) {
    if (first === last) continue;
    d += `M${x(times[first]).toFixed(2)} ${HEIGHT}`;
    for (let i = first; i <= last; i += 1) d += `L${spot(i, values, times, x, y)}`;
    d += `L${x(times[last]).toFixed(2)} ${HEIGHT}z`;
  }
  return d;
}

const legend = (lines, latest, unit) => h("div", { class: "legend" }, lines.map((line, i) =>
  h("span", { class: i ? "second" : "" }, h("i"), `${line.name} ${amount(latest[i], unit)}`)));

function pointWords(lines, latest, unit) {
  if (lines.length === 1) return amount(latest[0], unit);
  return lines.map((line, i) => `${line.name} ${amount(latest[i], unit)}`).join(" · ");
}

function point(event, plot, readout, { times, lines, unit, span, end }) {
  const box = plot.getBoundingClientRect();
  const time = end - span * (1 - (event.clientX - box.left) / box.width);
  let near = 0;
  for (let i = 1; i < times.length; i += 1) if (Math.abs(times[i] - time) < Math.abs(times[near] - time)) near = i;
  const at = plot.querySelector(".at");
  const across = WIDTH * (1 - (end - times[near]) / span);
  at.setAttribute("x1", across);
  at.setAttribute("x2", across);
  at.setAttribute("visibility", "visible");
  const when = new Date(times[near] * 1000).toLocaleTimeString("en-GB");
  readout.textContent = `${when} · ${pointWords(lines, lines.map((line) => line.values[near] ?? null), unit)}`;
}

function unpoint(plot, readout, words) {
  plot.querySelector(".at").setAttribute("visibility", "hidden");
  readout.textContent = words;
}
