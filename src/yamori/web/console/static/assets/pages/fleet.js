// The fleet by host: every VM a tile, or where there are many, those that need a look first.

import { get, part } from "../api.js";
import { h } from "../dom.js";
import { countdown, empty, heading, mark } from "../parts.js";
import { OBJECTIVES, STANDINGS, amount, plural, roughly } from "../words.js";
import { learn } from "../names.js";

export const follows = ["tick", "endpoint", "change", "run", "drift", "duplicate"];
export const title = () => "Fleet";

export const load = ({ kept, query, signal }) => get("/fleet", { search: kept.search ?? query.get("search"), tiles: 48 }, signal);

export function view(fleet, context) {
  const search = h("input", {
    type: "search", class: "search", placeholder: "Search by name, label or host  ( / )", "aria-label": "Search VMs", value: context.query.get("search"),
    oninput: (event) => {
      context.kept.search = event.target.value;
      clearTimeout(context.kept.typing);
      context.kept.typing = setTimeout(context.reload, 200);
    },
  });
  const searching = Boolean(context.kept.search);
  return [
    heading("Fleet", search),
    sums(fleet),
    !fleet.hosts.length && (searching
      ? empty("No VM matches", "Search looks at names, ids, hosts and labels.")
      : empty("No endpoint is configured", "Name one in the configuration, then start Yamori again: ", h("code", {}, "yamori up --config fleet.yaml"))),
    fleet.hosts.map(host),
    fleet.hosts_more > 0 && empty(`${plural(fleet.hosts_more, "more host")}`, "Hosts with trouble are shown first. Search to see others."),
  ];
}

function sums(fleet) {
  const up = fleet.endpoints.up;
  const all = Object.values(fleet.endpoints).reduce((a, b) => a + b, 0);
  return h("div", { class: "sums" },
    h("a", { class: "sum", href: "/vms" }, h("b", {}, fleet.vms.toLocaleString("en")), h("span", {}, fleet.vms === 1 ? "VM" : "VMs")),
    Object.entries(STANDINGS).map(([word, words]) => {
      const count = fleet.standings[word] ?? 0;
      return h("a", { class: count ? "sum" : "sum is-none", href: `/vms?standing=${word}` }, mark(word, words), h("b", {}, count.toLocaleString("en")), h("span", {}, words));
    }),
    h("a", { class: fleet.held ? "sum" : "sum is-none", href: "/vms?held=true" }, mark("held", "held"), h("b", {}, fleet.held.toLocaleString("en")), h("span", {}, "held")),
    h("div", { class: "sum" }, mark(up === all ? "kept" : "broken", "endpoints"), h("b", {}, `${up}/${all}`), h("span", {}, "endpoints up")));
}

function host(place) {
  const down = place.contact !== "up";
  const name = place.host?.name ?? place.id ?? place.endpoint;
  const list = `/vms?host=${part(place.id ?? "")}`;
  return h("section", { class: down ? "host is-down" : "host", "data-key": `${place.endpoint}/${place.id}`, "aria-label": `Host ${name}` },
    h("div", { class: "host-head" },
      h("h2", {}, place.id ? h("a", { href: list }, name) : name),
      down ? h("span", { class: "chip broken" }, place.contact === "down" ? "does not answer" : "connecting")
        : h("span", { class: "muted small" }, about(place)),
      h("span", { class: "muted small end number" }, plural(place.vms, "VM"), place.tick_s !== null && ` · read in ${amount(place.tick_s, "seconds")}`)),
    down && h("p", { class: "muted" }, place.error ?? "No answer yet.", place.vms > 0 && " What is shown of its VMs is what was last seen."),
    !down && place.gap && h("p", { class: "muted" }, mark("unknown", "usage unknown"), ` Usage unknown: ${place.gap}`),
    place.more > 0 && stack(place),
    place.tiles.length > 0 && h("ul", { class: "tiles" }, place.tiles.map(tile)),
    !down && !place.vms && empty("No VM here", "A VM that is defined on this host appears within one reading."),
    place.more > 0 && h("p", { class: "pager" }, h("a", { href: list }, `All ${place.vms.toLocaleString("en")} VMs`), h("span", { class: "muted small" }, `shown are the ${place.tiles.length} that need a look first`)));
}

function about({ host: found, cpu_cores_used: used }) {
  if (!found) return "";
  const cpus = found.cpus === null ? "" : ` · ${used === null ? "unknown" : used.toFixed(1)} of ${found.cpus} CPUs in use`;
  const memory = found.memory_bytes === null ? "" : ` · ${amount(found.memory_bytes, "bytes")}`;
  return `${found.hypervisor} ${found.hypervisor_version}${cpus}${memory}`;
}

const stack = (place) => h("div", { class: "stack", role: "img", "aria-label": Object.entries(STANDINGS).map(([w, words]) => `${place.standings[w]} ${words}`).join(", ") },
  Object.keys(STANDINGS).map((word) => place.standings[word] > 0 && h("i", { class: word, share: place.standings[word] })));

const BARS = { cpu: "CPU", memory: "Mem", disk: "Disk", net: "Net" };

function tile(vm) {
  learn(vm.id, vm.name);
  return h("li", { "data-key": vm.id },
    h("a", { class: `tile ${vm.standing}`, href: `/vms/${part(vm.id)}`, title: `${vm.name}: ${STANDINGS[vm.standing]}` },
      h("span", { class: "tile-head" }, mark(vm.standing), h("b", {}, vm.name), vm.drifted && mark("drift", "changed by hand"), vm.held_until && mark("held", "held")),
      h("span", { class: "bars" }, Object.entries(BARS).map(([word, label]) => {
        const value = vm.bars[word];
        return value === null ? h("span", { class: "no", title: `${label}: unknown` }, label, h("i"))
          : h("span", { title: `${label}: ${Math.round(value * 100)} %` }, label, h("i", { share: `${(value * 100).toFixed(1)}%` }));
      })),
      h("span", { class: "tile-foot" },
        h("span", {}, vm.state === "running" ? vm.sla ?? "no class" : vm.state),
        vm.held_until ? h("span", { class: "held-tag" }, "held ", countdown(vm.held_until)) : h("span", { class: "worst" }, worst(vm)))));
}

function worst(vm) {
  if (vm.worst === null) return "";
  const { unit } = OBJECTIVES[vm.worst] ?? { unit: "plain" };
  if (vm.worst_value === null) return "unknown";
  return `${SHORT[vm.worst] ?? vm.worst} ${roughly(vm.worst_value, unit)} of ${roughly(vm.worst_bound, unit)}`;
}

const SHORT = { cpu_delay: "waits", memory_lost: "lost", disk_latency: "disk", net_drops: "drops" };
