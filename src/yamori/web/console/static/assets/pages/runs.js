// Everything that was done, newest first.

import { get, part } from "../api.js";
import { confirmUndo } from "../dialogs.js";
import { h } from "../dom.js";
import { learnAll, nameOf, vmLink } from "../names.js";
import { age, chip, empty, heading, panel } from "../parts.js";
import { LIMITS, amount, sentence } from "../words.js";

export const follows = ["run"];
export const title = () => "Runs";

const UNDONE_BY = new Set(["throttle", "migrate"]);
export const canUndo = (run) => run.state === "verified" && UNDONE_BY.has(run.decision.action.verb);

export async function load({ signal }) {
  const found = await get("/runs", { limit: 200 }, signal);
  await learnAll(found.items.map((run) => run.subject), signal);
  return found;
}

export function view({ items }, context) {
  return [
    heading("Runs"),
    h("p", { class: "muted" }, "Each action that policy allowed, step by step: checked, applied, read back. Newest first."),
    h("section", { class: "panel" }, items.length
      ? h("ol", { class: "timeline" }, items.map((run) => runLine(run, context.reload)))
      : empty("Nothing was done yet", "In observe mode Yamori only looks. Acting is switched on rule by rule in the policy.")),
  ];
}

export function asked(action) {
  if (action.verb === "throttle") {
    return Object.entries(action.limits).map(([kind, value]) => `${LIMITS[kind]?.name ?? kind} ${amount(value, LIMITS[kind]?.unit)}`).join(", ");
  }
  return action.verb === "migrate" ? `to ${action.to ?? "where it fits best"}` : "";
}

// One run as a line of a timeline, with before and after.
export function runLine(run, after) {
  const { action } = run.decision;
  return h("li", { class: run.state, "data-key": run.id },
    h("div", { class: "run-line" },
      h("a", { href: `/runs/${part(run.id)}` }, sentence(action.verb)),
      vmLink(run.subject), h("span", {}, asked(action)), chip(run.state),
      h("span", { class: "end muted small" }, age(run.created_at)),
      canUndo(run) && h("button", { type: "button", class: "quiet", onclick: () => confirmUndo(run, nameOf(run.subject), after) }, "Undo")),
    h("div", { class: "small muted beads" }, h("span", {}, `by ${run.proposal.by}`), changes(run).map((text) => h("span", {}, text)), run.error && h("span", {}, run.error)));
}

const SHOWN = 4;

function changes({ before, seen }) {
  if (!before || !seen) return [];
  return rows(before, seen).filter(([, was, is]) => was !== is).slice(0, SHOWN).map(([name, was, is]) => `${name}: ${was} → ${is}`);
}

// Before and after side by side: [name, before, after] of everything noted at either time.
export function rows(before, seen) {
  const flat = (noted) => Object.fromEntries(Object.entries(noted ?? {}).flatMap(([k, v]) =>
    v && typeof v === "object" && !Array.isArray(v) ? Object.entries(v) : [[k, v]]));
  const [was, is] = [flat(before), flat(seen)];
  const words = (noted, k) => {
    if (!(k in noted)) return "not noted";
    const value = noted[k];
    if (value === null) return k in LIMITS ? "no limit" : "none";
    if (k in LIMITS && typeof value === "number") return amount(value, LIMITS[k].unit);
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].map((k) => [LIMITS[k]?.name ?? sentence(k), words(was, k), words(is, k)]);
}
