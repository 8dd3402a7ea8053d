// VMs as a list, page by page: for a host with very many, or for one standing.

import { get, part } from "../api.js";
import { h } from "../dom.js";
import { countdown, crumb, empty, heading, mark, table } from "../parts.js";
import { learn } from "../names.js";
import { STANDINGS, amount } from "../words.js";

const PAGE = 100;

export const follows = ["tick", "change", "run"];
export const title = () => "VMs";

export function load({ query, kept, signal }) {
  const chosen = Object.fromEntries(["host", "standing", "held"].map((word) => [word, query.get(word)]));
  return get("/vms", { ...chosen, search: kept.search ?? query.get("search"), after: kept.after ?? 0, limit: PAGE }, signal);
}

export function view({ items, total, next }, context) {
  const { query, kept } = context;
  const after = kept.after ?? 0;
  const turn = (to) => () => {
    kept.after = to;
    context.reload();
  };
  const search = h("input", {
    type: "search", class: "search", placeholder: "Search by name, label or host  ( / )", "aria-label": "Search VMs",
    oninput: (event) => {
      kept.search = event.target.value;
      kept.after = 0;
      clearTimeout(kept.typing);
      kept.typing = setTimeout(context.reload, 200);
    },
  });
  const chosen = [query.get("host") && `on ${query.get("host")}`, STANDINGS[query.get("standing")], query.get("held") === "true" && "held"].filter(Boolean);
  return [
    crumb("/", "Fleet"),
    heading(chosen.length ? `VMs ${chosen.join(", ")}` : "VMs", search),
    h("section", { class: "panel" }, items.length
      ? table(["Standing", "Name", "Host", "State", "Class", "CPU", "Memory", "Hold"], items.map(row))
      : empty("No VM is like that", h("a", { href: "/vms" }, "Show all VMs"))),
    total > PAGE && h("div", { class: "pager" },
      h("button", { type: "button", disabled: after === 0, onclick: turn(Math.max(0, after - PAGE)) }, "Back"),
      h("span", { class: "number muted" }, `${after + 1} to ${after + items.length} of ${total.toLocaleString("en")}`),
      h("button", { type: "button", disabled: next === null, onclick: turn(next) }, "On")),
  ];
}

function row({ vm, rates, hold, standing }) {
  learn(vm.id, vm.name);
  return h("tr", { "data-key": vm.id },
    h("td", {}, mark(standing)),
    h("td", {}, h("a", { href: `/vms/${part(vm.id)}` }, vm.name)),
    h("td", {}, vm.host ?? "unknown"),
    h("td", {}, vm.state),
    h("td", {}, vm.labels.sla ?? h("span", { class: "muted" }, "none")),
    h("td", {}, amount(rates.cpu_cores, "cores")),
    h("td", {}, amount(rates.memory_resident_bytes, "bytes")),
    h("td", {}, hold && h("span", { class: "held-tag" }, countdown(hold.expires_at))));
}
