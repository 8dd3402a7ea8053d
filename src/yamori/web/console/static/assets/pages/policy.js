// The policy in force, as it was read.

import { get, part } from "../api.js";
import { askKillSwitch } from "../dialogs.js";
import { h } from "../dom.js";
import { age, chip, empty, heading, panel, table } from "../parts.js";
import { learnAll, vmLink } from "../names.js";
import { sentence } from "../words.js";

export const follows = ["decided", "kill_switch"];
export const title = () => "Policy";

export async function load({ signal }) {
  const [policy, rulings, stopped] = await Promise.all([get("/policy", {}, signal), get("/rulings", { limit: 50 }, signal), get("/kill-switch", {}, signal)]);
  await learnAll(rulings.items.map((r) => r.proposal.action.vm), signal);
  return { text: policy.text, rulings: rulings.items, stopped };
}

export function view({ text, rulings, stopped }, { reload }) {
  return [
    heading("Policy"),
    h("p", { class: "muted" }, "Modules propose, policy rules, only what is allowed is done. Every ruling names its rule."),
    h("p", {}, h("button", { type: "button", onclick: () => askKillSwitch(!stopped.on, reload) }, stopped.on ? "Let modules act again" : "Keep modules from acting")),
    panel("Latest rulings", null, rulings.length ? table(["Ruling", "Asked for", "By", "Rule", "Why", "When"], rulings.map(row)) : empty("Nothing was asked for yet")),
    h("section", { class: "panel" }, h("h2", {}, "In force"), h("pre", { class: "text", tabindex: "0" }, text)),
  ];
}

const row = ({ number, proposal, decision, run }) => h("tr", { "data-key": String(number) },
  h("td", {}, chip(decision.verdict)),
  h("td", {}, run ? h("a", { href: `/runs/${part(run)}` }, sentence(proposal.action.verb)) : sentence(proposal.action.verb), " ", vmLink(proposal.action.vm)),
  h("td", {}, proposal.by),
  h("td", {}, h("code", {}, decision.rule)),
  h("td", {}, decision.reason),
  h("td", { class: "muted" }, age(decision.decided_at)));
