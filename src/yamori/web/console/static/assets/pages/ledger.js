// The ledger: every record chained to the one before it. Whoever changes one breaks the chain.

import { Refusal, get } from "../api.js";
import { h } from "../dom.js";
import { empty, heading, mark, table } from "../parts.js";
import { plural, stamp } from "../words.js";

const PAGE = 100;
const PLAIN = ["number", "seq", "at", "kind", "subject", "hash", "previous", "prev"];

export const follows = [];
export const title = () => "Ledger";

export const load = ({ kept, signal }) => get("/ledger", { after: kept.after ?? 0, limit: PAGE }, signal);

export function view({ items }, context) {
  const { kept } = context;
  const turn = (to) => () => {
    kept.back = to > (kept.after ?? 0) ? [...(kept.back ?? []), kept.after ?? 0] : (kept.back ?? []).slice(0, -1);
    kept.after = to;
    context.reload();
  };
  const last = items.length ? number(items.at(-1)) : null;
  return [
    heading("Ledger", h("button", { type: "button", id: "verify", class: "main", disabled: kept.verifying, onclick: () => verify(context) }, kept.verifying ? "Verifying" : "Verify the whole chain")),
    h("p", { class: "muted" }, "The reason trail, append-only and hash-chained: each record holds the hash of the one before."),
    kept.verdict && h("div", { class: kept.verdict.bad ? "banner bad" : "banner", role: "status" }, h("span", { class: "verdict" }, mark(kept.verdict.bad ? "broken" : "kept", ""), h("b", {}, kept.verdict.words))),
    h("section", { class: "panel" }, items.length ? table(["No.", "At", "Kind", "Subject", "Content", "Hash"], items.map(row)) : empty("No record here", "Findings, rulings and runs are recorded as they happen.")),
    h("div", { class: "pager" },
      h("button", { type: "button", disabled: !(kept.back ?? []).length, onclick: () => turn(kept.back.at(-1))() }, "Back"),
      h("button", { type: "button", disabled: items.length < PAGE || last === null, onclick: turn(last) }, "On")),
  ];
}

const number = (record) => record.number ?? record.seq ?? null;

async function verify(context) {
  context.kept.verifying = true;
  context.redraw();
  try {
    const { records } = await get("/ledger/verify");
    context.kept.verdict = { bad: false, words: `The chain holds: ${plural(records, "record")}, none changed, removed or reordered.` };
  } catch (why) {
    if (!(why instanceof Refusal)) throw why;
    context.kept.verdict = { bad: true, words: `The chain does not hold: ${why.words}` };
  }
  context.kept.verifying = false;
  context.redraw();
}

function row(record) {
  const rest = Object.fromEntries(Object.entries(record).filter(([name]) => !PLAIN.includes(name)));
  const content = Object.keys(rest).length ? JSON.stringify(rest) : "";
  return h("tr", { "data-key": String(number(record)) },
    h("td", {}, String(number(record) ?? "")),
    h("td", { class: "small" }, record.at ? stamp(record.at) : ""),
    h("td", {}, String(record.kind ?? "")),
    h("td", {}, String(record.subject ?? "")),
    h("td", { class: "mono small" }, content.length > 300 ? `${content.slice(0, 300)}…` : content),
    h("td", { class: "mono hash", title: String(record.hash ?? "") }, String(record.hash ?? "").slice(0, 12)));
}
