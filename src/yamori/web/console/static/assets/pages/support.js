// The support matrix: what each endpoint can do, by whom, and where not, why.

import { get } from "../api.js";
import { h } from "../dom.js";
import { empty, heading, panel, table } from "../parts.js";

export const follows = ["endpoint"];
export const title = () => "Support";
export const load = ({ signal }) => get("/support", {}, signal);

const SIGNS = { native: ["●", "native"], agent: ["◐", "by agent"], none: ["–", "no"], unknown: ["?", "unknown"] };
const ACROSS = 24;
const MOST_APART = 200;

export function view({ features, endpoints }) {
  const all = Object.entries(endpoints);
  const shown = all.slice(0, ACROSS);
  if (!all.length) return [heading("Support"), empty("No endpoint is configured", "Name one in the configuration.")];
  return [
    heading("Support"),
    h("p", { class: "muted" }, "Probed, not promised: what each endpoint can do here and now. Native: the hypervisor itself. By agent: Yamori on its host. Unknown: the probe could not tell."),
    h("section", { class: "panel" },
      table(["Feature", ...shown.map(([name, found]) => h("span", {}, name, h("br"), h("span", { class: "muted small" }, found?.hypervisor ?? "never reached")))],
        features.map((feature) => h("tr", { class: feature.includes(".") ? "part" : "" }, h("th", { scope: "row" }, feature.replaceAll("_", " ").replace(".", " · ").replace("cpu", "CPU").replace("iops", "IOPS")), shown.map(([, found]) => h("td", {}, cell(found?.cells[feature], share(found, feature)))))),
        { class: "matrix" }),
      all.length > ACROSS && h("p", { class: "muted" }, `${all.length - ACROSS} more endpoints: yamori support lists them all.`)),
    reasons(shown),
    apart(shown, features),
  ];
}

function cell(found, part) {
  const level = found?.level ?? "unknown";
  const [sign, words] = SIGNS[level] ?? SIGNS.unknown;
  const reason = found?.reason || (found ? "" : "this endpoint was never reached");
  return h("span", { class: `cell ${level}`, title: reason }, h("span", { "aria-hidden": "true" }, sign), h("small", {}, part ? `${words} ${part}` : words));
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

// On how many of an endpoint's hosts a feature is there, where not on all.
function share(found, feature) {
  const hosts = Object.values(found?.hosts ?? {});
  const lacking = hosts.filter(({ cells }) => feature in cells).length;
  return lacking ? `${hosts.length - lacking}/${hosts.length}` : "";
}

// What single hosts lack of what their endpoint has.
function apart(shown, features) {
  const rows = [];
  for (const [, found] of shown) {
    for (const [host, { hypervisor, cells }] of Object.entries(found?.hosts ?? {})) {
      const said = new Map();
      for (const feature of features) {
        const { level, reason } = cells[feature] ?? {};
        if (level) said.set(`${level}\n${reason}`, { level, reason, lacking: [...(said.get(`${level}\n${reason}`)?.lacking ?? []), feature] });
      }
      for (const { level, reason, lacking } of said.values()) rows.push({ host, hypervisor, level, reason, lacking });
    }
  }
  if (!rows.length) return null;
  return panel("Hosts that differ", "What a host lacks of what its endpoint has on others.",
    table(["Host", "Runs", "Feature", "Level", "Why"],
      rows.slice(0, MOST_APART).map(({ host, hypervisor, level, reason, lacking }) => h("tr", {}, h("th", { scope: "row" }, host), h("td", {}, hypervisor), h("td", {}, lacking.join(", ")), h("td", {}, cell({ level, reason })), h("td", {}, reason)))),
    rows.length > MOST_APART && h("p", { class: "muted" }, `${rows.length - MOST_APART} more: yamori support lists them all.`));
}
