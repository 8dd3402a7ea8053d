// One finding: who does it to whom, on what evidence, how much was looked at, what was ruled and done.

import { get, part } from "../api.js";
import { h, s } from "../dom.js";
import { learnAll, vmLink } from "../names.js";
import { age, chip, crumb, empty, facts, heading, panel, table } from "../parts.js";
import { amount, lasting, measured, now, sentence } from "../words.js";

export const follows = ["finding", "decided", "run"];
export const title = ({ finding }) => finding.summary;

export async function load({ argument, signal }) {
  const [finding, rulings] = await Promise.all([get(`/findings/${part(argument)}`, {}, signal), get("/rulings", { limit: 500 }, signal)]);
  await learnAll([finding.cause, ...finding.victims], signal);
  return { finding, rulings: rulings.items.filter((r) => r.proposal.finding === finding.id) };
}

export function view({ finding: f, rulings }) {
  return [
    crumb("/findings", "Findings"),
    heading(f.summary, chip(f.severity), chip(f.closed_at ? "closed" : "open", f.closed_at ? "" : "broken")),
    h("p", { class: "muted" }, `Found by ${f.module}`, f.host && ` on ${f.host}`, " · opened ", age(f.opened_at), " · ", f.closed_at ? `closed after ${lasting(Date.parse(f.closed_at) - Date.parse(f.opened_at))}` : `open for ${lasting(now() - Date.parse(f.opened_at))}`),
    panel("Attribution", null, blame(f)),
    panel("Evidence", "What was measured, beside what was usual before.", f.evidence.length ? table(["Measure", "Of", "Now", "Usually", ""], f.evidence.map(evidence)) : empty("No evidence is recorded")),
    h("div", { class: "two" }, coverage(f.coverage), panel("What it looks like", null, facts([
      ["Kind", sentence(f.kind)],
      ["Resource", f.resource ?? "unknown"],
      ["Nature", f.nature],
      ["Confidence", amount(f.confidence, "share")],
      ["ATT&CK", f.techniques.length ? f.techniques.join(", ") : "none applies"],
    ]))),
    panel("What policy ruled", null, rulings.length ? table(["Ruling", "Asked for", "Why", "Rule", "Run"], rulings.map(ruling)) : empty("Nothing was asked for", "The module proposed no action for this finding so far.")),
  ];
}

function blame(f) {
  const word = { attack: "looks like an attack", load: "looks like ordinary load" }[f.nature] ?? "load or attack: unknown";
  const cause = f.cause
    ? h("div", { class: "who cause" }, h("div", { class: "muted small" }, "Cause"), h("b", {}, vmLink(f.cause)), h("div", { class: "small" }, word))
    : h("div", { class: "who" }, h("div", { class: "muted small" }, "Cause"), h("b", {}, "unknown"), h("div", { class: "small muted" }, "nobody is attributed"));
  const victims = f.victims.length
    ? h("ul", {}, f.victims.slice(0, 40).map((id) => h("li", { class: "who victim" }, h("div", { class: "muted small" }, "Victim"), h("b", {}, vmLink(id)))), f.victims.length > 40 && h("li", { class: "who" }, `and ${f.victims.length - 40} more`))
    : h("span", { class: "muted" }, "nobody suffers so far");
  return h("div", { class: "blame" }, cause, h("div", { class: "arrow" }, sentence(f.resource ?? "unknown"), s("svg", { viewBox: "0 0 96 12", "aria-hidden": "true" }, s("path", { d: "M0 6h92M86 1.500 92 6l-6 4.500", fill: "none", stroke: "currentColor", "stroke-width": 1.600 }))), victims);
}

function evidence(e) {
  const most = Math.max(Math.abs(e.value ?? 0), Math.abs(e.usual ?? 0)) || 1;
  const bar = (value, kind) => typeof value === "number" && h("i", { class: kind, share: Math.max(0.02, Math.abs(value) / most).toFixed(3) });
  const ratio = e.usual ? e.value / e.usual : null;
  return h("tr", {},
    h("td", {}, sentence(e.what)),
    h("td", {}, e.subject),
    h("td", {}, h("b", {}, measured(e.value, e.unit))),
    h("td", { class: "muted" }, e.usual === null ? "not known before" : measured(e.usual, e.unit)),
    h("td", {}, e.usual !== null && h("div", {}, h("div", { class: "times" }, bar(e.value, ""), ratio && h("span", { class: "small" }, `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)} ×`)), h("div", { class: "times" }, bar(e.usual, "calm")))));
}

function coverage({ examined, of, missing }) {
  const whole = examined >= of;
  return panel("What was looked at", null,
    h("p", {}, h("b", { class: "number" }, `${examined} of ${of}`), whole ? " examined: nothing is missing." : " examined. The rest is unknown, not fine."),
    h("div", { class: "cover", share: `${of ? (100 * examined) / of : 0}%`, role: "img", "aria-label": `${examined} of ${of} examined` }),
    missing.length > 0 && h("ul", { class: "reasons small" }, missing.slice(0, 20).map((why) => h("li", {}, why)), missing.length > 20 && h("li", {}, `and ${missing.length - 20} more`)));
}

const ruling = ({ proposal, decision, run }) => h("tr", {},
  h("td", {}, chip(decision.verdict)),
  h("td", {}, sentence(proposal.action.verb), " ", vmLink(proposal.action.vm), h("div", { class: "small muted" }, proposal.reason)),
  h("td", {}, decision.reason),
  h("td", {}, h("code", {}, decision.rule)),
  h("td", {}, run ? h("a", { href: `/runs/${part(run)}` }, run) : h("span", { class: "muted" }, "none")));
