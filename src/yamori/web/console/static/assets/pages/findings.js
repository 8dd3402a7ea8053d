// What was found wrong, newest first: open ones on top.

import { get, part } from "../api.js";
import { h } from "../dom.js";
import { learnAll, nameOf } from "../names.js";
import { age, chip, empty, heading, panel } from "../parts.js";
import { lasting, plural } from "../words.js";

export const follows = ["finding"];
export const title = () => "Findings";

export async function load({ signal }) {
  const found = await get("/findings", { limit: 200 }, signal);
  await learnAll(found.items.slice(0, 50).flatMap((f) => [f.cause, ...f.victims.slice(0, 3)]), signal);
  return found;
}

export function view({ items }) {
  const open = items.filter((f) => !f.closed_at);
  const closed = items.filter((f) => f.closed_at);
  return [
    heading("Findings"),
    panel("Open", null, open.length ? open.map(line) : empty("Nothing is open", "What was looked at is on each closed finding; what could not be looked at shows as unknown in the fleet.")),
    panel("Closed", null, closed.length ? closed.map(line) : empty("Nothing was closed yet", "A finding closes by itself once its reason is gone.")),
  ];
}

function line(f) {
  const who = f.cause ? `cause ${nameOf(f.cause)}` : "cause unknown";
  const partial = f.coverage.examined < f.coverage.of;
  return h("a", { class: f.closed_at ? "finding is-closed" : "finding", href: `/findings/${part(f.id)}`, "data-key": f.id },
    chip(f.severity),
    h("span", { class: "what" }, f.summary),
    h("span", { class: "muted small" }, age(f.opened_at)),
    h("span", { class: "muted small more" }, [
      who, plural(f.victims.length, "victim"), f.resource, `looks like ${f.nature === "unknown" ? "load or attack, unknown which" : f.nature}`,
      partial && `examined ${f.coverage.examined} of ${f.coverage.of}`,
      f.closed_at && `lasted ${lasting(Date.parse(f.closed_at) - Date.parse(f.opened_at))}`,
    ].filter(Boolean).join(" · ")));
}
