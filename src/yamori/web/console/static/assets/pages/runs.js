// Everything that was done, newest first.

import { get, part } from "../api.js";
import { confirmUndo } from "../dialogs.js";
import { h } from "../dom.js";
import { learnAll, nameOf, vmLink } from "../names.js";
import { age, chip, empty, heading, panel } from "../parts.js";
import { LIMITS, amount, sentence } from "../words.js";

export const follows = ["run"];
export const title = () => "Runs";

// What has moved stays where it is: moving back is another decision. What was released has nothing to put back.
export const canUndo = (run) => run.state === "verified" && run.decision.action.verb === "throttle";

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
  if (action.verb !== "migrate") return "";
  return `to ${action.to ?? "where it fits best"}${action.stopping ? ", standing still if it must" : ""}`;
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

// What held at one time, out of what a step noted: limits by kind, or where the VM was.
function held(noted) {
  const { found, ours, limits, from, host } = noted ?? {};
  if (from ?? host) return { host: from ?? host };
  return found ?? ours ?? limits ?? noted ?? {};
}

function words(state, key) {
  if (!(key in state)) return "not noted";
  const value = state[key];
  if (value === null) return key in LIMITS ? "no limit" : "none";
  if (key in LIMITS && typeof value === "number") return amount(value, LIMITS[key].unit);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// Before and after side by side: [name, before, after] of everything that was noted at either time.
export function rows(before, seen) {
  const [was, is] = [held(before), held(seen)];
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].map((key) => [LIMITS[key]?.name ?? sentence(key), words(was, key), words(is, key)]);
}
