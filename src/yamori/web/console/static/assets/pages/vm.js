// One VM: what it is owed and gets, what it uses, what holds, what was found and done about it.

import { Refusal, get, part } from "../api.js";
import { chart } from "../chart.js";
import { askMigrate, askThrottle, confirmRelease } from "../dialogs.js";
import { h } from "../dom.js";
import { learn } from "../names.js";
import { age, chip, countdown, crumb, empty, facts, heading, mark, panel, table } from "../parts.js";
import { LIMITS, OBJECTIVES, STANDINGS, amount, clock, now } from "../words.js";
import { runLine } from "./runs.js";

const SPANS = [[60, "1 min"], [300, "5 min"], [900, "15 min"], [3600, "1 h"]];
const RATE_OF = { disk_latency: "disk_latency_s" };

export const follows = ["tick", "change", "run", "drift", "finding"];
export const title = ({ view: found }) => found.vm.name;

export async function load({ argument, kept, signal }) {
  const view = await get(`/vms/${part(argument)}`, {}, signal);
  const id = part(view.vm.id);
  learn(view.vm.id, view.vm.name);
  const span = kept.span ?? 300;
  const [history, limits, findings, runs, endpoints] = await Promise.all([
    get(`/vms/${id}/history`, { seconds: span }, signal).catch(refused),
    limitsNow(kept, id, signal),
    get("/findings", { limit: 200 }, signal),
    get("/runs", { limit: 200 }, signal),
    get("/endpoints", {}, signal),
  ]);
  const concerns = (f) => f.cause === view.vm.id || f.victims.includes(view.vm.id);
  return {
    view, history, limits, span,
    findings: findings.items.filter(concerns).slice(0, 8),
    runs: runs.items.filter((r) => r.subject === view.vm.id).slice(0, 8),
    hosts: endpoints.items.flatMap((e) => (e.contact === "up" ? e.hosts : [])).filter((host) => host.id !== view.vm.host),
  };
}

const refused = (why) => {
  if (why instanceof Refusal) return why;
  throw why;
};

// The hypervisor is asked for limits when the page opens, when a hold changes and every 15 s: not at each tick.
async function limitsNow(kept, id, signal) {
  if (!kept.limits || Date.now() - kept.limitsAt > 15_000) {
    kept.limits = await get(`/vms/${id}/limits`, {}, signal).catch(refused);
    kept.limitsAt = Date.now();
  }
  return kept.limits;
}

export function view({ view: found, history, limits, span, findings, runs, hosts }, context) {
  const { vm } = found;
  const after = () => {
    context.kept.limits = null;
    context.reload();
  };
  const settable = limits.settable ?? [];
  return [
    crumb("/", "Fleet"),
    heading(h("span", {}, mark(found.standing), " ", vm.name),
      h("button", { type: "button", disabled: !settable.length, onclick: () => askThrottle(vm, settable, after) }, "Throttle"),
      h("button", { type: "button", disabled: !hosts.length, onclick: () => askMigrate(vm, hosts, after) }, "Move")),
    h("p", { class: "muted" }, `${STANDINGS[found.standing]} · ${vm.state} on `, vm.host ? h("a", { href: `/vms?host=${part(vm.host)}` }, vm.host) : "an unknown host", ` · class ${vm.labels.sla ?? "none"} · seen `, age(found.seen_at)),
    found.hold && hold(found, after),
    found.drift.length > 0 && h("div", { class: "banner" }, h("b", {}, "Changed by hand"), h("span", {}, found.drift.join(" · ")), h("span", { class: "muted" }, "Yamori leaves it as it is.")),
    owed(found, history, span),
    used(found, history, span, context),
    h("div", { class: "two" }, limitsPanel(limits, found, after), about(vm, found.endpoint)),
    h("div", { class: "two" },
      panel("Findings", null, findings.length ? findings.map(findingLine) : empty("Nothing was found", "Neither as a cause nor as a victim.")),
      panel("Runs", null, runs.length ? h("ol", { class: "timeline" }, runs.map((run) => runLine(run, context.reload))) : empty("No run on this VM", "Nothing was changed."))),
  ];
}

function hold(found, after) {
  const { hold: held, vm } = found;
  const whole = Date.parse(held.expires_at) - Date.parse(held.since);
  const left = Math.min(1, Math.max(0, (Date.parse(held.expires_at) - now()) / whole));
  const limits = Object.entries(held.asked).map(([kind, value]) => `${LIMITS[kind]?.name ?? kind} ${amount(value, LIMITS[kind]?.unit)}`);
  return h("div", { class: "banner" },
    mark("held", "held"), h("b", {}, "Held"), h("span", {}, limits.join(" · ")),
    h("span", {}, "ends by itself in ", h("b", { class: "number" }, countdown(held.expires_at))),
    h("a", { href: `/runs/${part(held.run)}` }, "why"),
    h("span", { class: "end" }, h("button", { type: "button", onclick: () => confirmRelease(vm, after) }, "Release")),
    h("div", { class: "left", share: `${(left * 100).toFixed(1)}%` }));
}

const series = (history, ...names) => names.map((n) => history.values?.[n]).find((v) => v) ?? [];

function owed({ served }, history, span) {
  if (!served.length) return panel("What it is owed", null, empty("Nothing is promised to this VM", "Give it the label sla with the name of a class: gold, silver, bronze or one of your own."));
  const end = now() / 1000;
  return panel("What it is owed", "What the host does to it, against what its class promises. How busy it is itself does not count.",
    h("div", { class: "charts" }, served.map((one) => {
      const { name, unit } = OBJECTIVES[one.objective] ?? { name: one.objective, unit: "plain" };
      const values = series(history, one.objective, RATE_OF[one.objective]);
      const plot = chart({ title: name, sign: mark(one.standing), times: history.times ?? [], lines: [{ name, values }], unit, bound: one.bound, span, end });
      const doubt = { not_promised: "Nothing is promised here.", unknown: "Unknown: it is not measured now." }[one.standing];
      return h("div", { "data-key": one.objective }, plot, doubt && h("p", { class: "small muted" }, doubt));
    })));
}

function used(found, history, span, context) {
  const end = now() / 1000;
  const make = (title, unit, ...lines) => chart({ title, unit, span, end, times: history.times ?? [], lines: lines.map(([name, key]) => ({ name, values: series(history, key) })) });
  const choice = h("span", { class: "choice", role: "group", "aria-label": "Time shown" }, SPANS.map(([seconds, words]) =>
    h("button", { type: "button", "aria-pressed": String(seconds === span), onclick: () => {
      context.kept.span = seconds;
      context.reload();
    } }, words)));
  return h("section", { class: "panel" }, h("div", { class: "head" }, h("h2", {}, "What it uses"), h("div", { class: "end" }, choice)),
    history instanceof Refusal && h("p", { class: "muted" }, `Its past is unknown: ${history.words}`),
    h("div", { class: "charts" },
      make("CPU", "cores", ["", "cpu_cores"]),
      make("Memory", "bytes", ["resident", "memory_resident_bytes"], ["assigned", "memory_assigned_bytes"]),
      make("Disk operations", "iops", ["", "disk_iops"]),
      make("Disk traffic", "bytes_s", ["", "disk_bytes_s"]),
      make("Network", "bytes_s", ["in", "net_rx_bytes_s"], ["out", "net_tx_bytes_s"])));
}

function limitsPanel(limits, found, after) {
  if (limits instanceof Refusal) return panel("Limits", null, empty("Limits are unknown", limits.words));
  const asked = found.hold?.asked ?? {};
  const { values, unknown, pinning } = limits.limits;
  const rows = Object.keys(LIMITS).filter((kind) => kind in values || kind in unknown).map((kind) => h("tr", {},
    h("td", {}, LIMITS[kind].name),
    h("td", {}, kind in unknown ? h("span", { class: "chip unknown", title: unknown[kind] }, "unknown") : values[kind] === null ? h("span", { class: "muted" }, "no limit") : h("b", {}, amount(values[kind], LIMITS[kind].unit))),
    h("td", { class: "small muted" }, kind in asked ? h("span", { class: "held-tag" }, `held by us at ${amount(asked[kind], LIMITS[kind].unit)}`) : unknown[kind] ?? "")));
  return h("section", { class: "panel" },
    h("div", { class: "head" }, h("h2", {}, "Limits"), h("div", { class: "end" }, h("button", { type: "button", class: "quiet", onclick: after }, "Read again"))),
    h("p", { class: "muted small" }, `Read back from the hypervisor at ${clock(limits.read_at)}`, pinning && `, may run on CPUs ${pinning.join(", ")}`),
    table(["Limit", "Holds", ""], rows));
}

function about(vm, endpoint) {
  return panel("About", null, facts([
    ["Id", h("code", {}, vm.id)],
    ["Endpoint", endpoint],
    ["vCPUs", String(vm.vcpus)],
    ["Memory", `${amount(vm.memory_bytes, "bytes")} of at most ${amount(vm.memory_max_bytes, "bytes")}`],
    ["Disks", vm.disks.length ? vm.disks.map((d) => `${d.target}${d.capacity_bytes === null ? "" : ` ${amount(d.capacity_bytes, "bytes")}`}${d.shared === true ? " shared" : ""}`).join(", ") : "none"],
    ["Network", vm.nics.length ? vm.nics.map((n) => `${n.mac}${n.network ? ` on ${n.network}` : ""}`).join(", ") : "none"],
    ["Labels", Object.keys(vm.labels).length ? Object.entries(vm.labels).map(([k, v]) => [h("span", { class: "chip" }, `${k}=${v}`), " "]) : "none"],
    ["Definition", vm.persistent ? "kept when it stops" : "gone when it stops"],
  ]));
}

const findingLine = (f) => h("a", { class: f.closed_at ? "finding is-closed" : "finding", href: `/findings/${part(f.id)}`, "data-key": f.id },
  chip(f.closed_at ? "closed" : f.severity), h("span", { class: "what" }, f.summary), h("span", { class: "muted small" }, age(f.opened_at)));

