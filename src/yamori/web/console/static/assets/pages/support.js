// The support matrix: what each endpoint can do, by whom, and where not, why.

import { get } from "../api.js";
import { h } from "../dom.js";
import { empty, heading, panel, table } from "../parts.js";

export const follows = ["endpoint"];
export const title = () => "Support";
export const load = ({ signal }) => get("/support", {}, signal);

const SIGNS = { native: ["●", "native"], agent: ["◐", "by agent"], none: ["–", "no"], unknown: ["?", "unknown"] };
const ACROSS = 24;

export function view({ features, endpoints }) {
  const all = Object.entries(endpoints);
  const shown = all.slice(0, ACROSS);
  if (!all.length) return [heading("Support"), empty("No endpoint is configured", "Name one in the configuration.")];
  return [
    heading("Support"),
    h("p", { class: "muted" }, "Probed, not promised: what each endpoint can do here and now. Native: the hypervisor itself. By agent: Yamori on its host. Unknown: the probe could not tell."),
    h("section", { class: "panel" },
      table(["Feature", ...shown.map(([name, found]) => h("span", {}, name, h("br"), h("span", { class: "muted small" }, found?.hypervisor ?? "never reached")))],
        features.map((feature) => h("tr", { class: feature.includes(".") ? "part" : "" }, h("th", { scope: "row" }, feature.replaceAll("_", " ").replace(".", " · ").replace("cpu", "CPU").replace("iops", "IOPS")), shown.map(([, found]) => h("td", {}, cell(found?.cells[feature]))))),
        { class: "matrix" }),
      all.length > ACROSS && h("p", { class: "muted" }, `${all.length - ACROSS} more endpoints: yamori support lists them all.`)),
    reasons(shown),
  ];
}

function cell(found) {
  const level = found?.level ?? "unknown";
  const [sign, words] = SIGNS[level] ?? SIGNS.unknown;
  const reason = found?.reason || (found ? "" : "this endpoint was never reached");
  return h("span", { class: `cell ${level}`, title: reason }, h("span", { "aria-hidden": "true" }, sign), h("small", {}, words));
}

function reasons(shown) {
  const said = new Map();
  for (const [name, found] of shown) {
    for (const [feature, { reason }] of Object.entries(found?.cells ?? {})) {
      if (reason) said.set(reason, [...(said.get(reason) ?? []), `${feature} on ${name}`]);
    }
  }
  if (!said.size) return null;
  return panel("Reasons", null, h("ul", { class: "reasons" }, [...said].map(([reason, where]) => h("li", {}, reason, h("span", { class: "muted small" }, ` · ${where.join(", ")}`)))));
}

