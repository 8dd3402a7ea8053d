// Small parts that pages are made of.

import { h, s } from "./dom.js";
import { STANDINGS, ago, sentence, stamp, until } from "./words.js";

const SHAPES = {
  kept: () => [
    s("circle", { cx: 8, cy: 8, r: 7, fill: "currentColor" }),
    s("path", { d: "M4.700 8.200 7 10.500l4.300-4.700", fill: "none", stroke: "var(--panel)", "stroke-width": 1.8 }),
  ],
  broken: () => [
    s("path", { d: "M8 1.200 15.500 14.600H.5z", fill: "currentColor" }),
    s("path", { d: "M8 6v4M8 11.600v1.300", stroke: "var(--panel)", "stroke-width": 1.7 }),
  ],
  unknown: () => [
    s("circle", { cx: 8, cy: 8, r: 6.6, fill: "none", stroke: "currentColor", "stroke-width": 1.4, "stroke-dasharray": "2.600 2" }),
    s("path", { d: "M6.100 6.500a1.900 1.900 0 1 1 2.700 1.700c-.600.300-.800.600-.800 1.200M8 11v1.200", fill: "none", stroke: "currentColor", "stroke-width": 1.4 }),
  ],
  not_promised: () => [s("path", { d: "M3.500 8h9", stroke: "currentColor", "stroke-width": 2 })],
  drift: () => [s("path", { d: "M5 14.500C3.500 12.500 2 10.500 2 9c0-.800 1-1 1.600-.300L5 10V3.500a1 1 0 0 1 2 0V7 2.500a1 1 0 0 1 2 0V7 3a1 1 0 0 1 2 0v4.500-3a1 1 0 0 1 2 0V10c0 2-.800 3.200-1.500 4.500z", fill: "currentColor" })],
  held: () => [
    s("path", { d: "M4 7V5a4 4 0 0 1 8 0v2", fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
    s("rect", { x: 2.5, y: 7, width: 11, height: 7.500, rx: 1.800, fill: "currentColor" }),
  ],
};

// A standing as a shape, so that it can be told without colour; its words are for who cannot see it.
export function mark(standing, words = STANDINGS[standing] ?? standing) {
  return s("svg", { class: `mark ${standing}`, viewBox: "0 0 16 16", role: "img", "aria-label": words }, s("title", {}, words), SHAPES[standing]());
}

export const chip = (word, kind = word) => h("span", { class: `chip ${kind}` }, sentence(word));

export const empty = (title, ...words) => h("div", { class: "empty" }, h("b", {}, title), ...words);

export const countdown = (iso) => h("time", { "data-until": iso, datetime: iso, title: stamp(iso) }, until(iso));

export const age = (iso) => h("time", { "data-ago": iso, datetime: iso, title: stamp(iso) }, ago(iso));

export const panel = (title, note, ...children) =>
  h("section", { class: "panel" }, h("h2", {}, title), note && h("p", { class: "muted small" }, note), ...children);

export function table(heads, rows, options = {}) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: options.class },
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows),
    ),
  );
}

export const facts = (pairs) =>
  h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

export function note(text, { bad = false } = {}) {
  const made = h("div", { class: bad ? "note bad" : "note" }, text);
  document.getElementById("notes").append(made);
  setTimeout(() => made.remove(), bad ? 12_000 : 6000);
}

// Free JSON, folded away: its first words, and all of it when asked for.
export const noted = (value, words = "what was noted") =>
  h("details", { class: "noted" }, h("summary", {}, words), h("pre", {}, JSON.stringify(value, null, 2).slice(0, 20_000)));

export const heading = (title, ...end) => h("div", { class: "head" }, h("h1", {}, title), end.length ? h("div", { class: "end" }, end) : null);

export const crumb = (href, text) => h("p", { class: "crumb" }, h("a", { href }, `← ${text}`));
