// The ledger: every record chained to the one before it. Whoever changes one breaks the chain.

import { Refusal, get } from "../api.js";
import { h } from "../dom.js";
import { empty, heading, mark, table } from "../parts.js";
import { plural, sentence, stamp } from "../words.js";

const PAGE = 100;

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
  const last = items.length ? items.at(-1).number : null;
  return [
    heading("Ledger", h("button", { type: "button", id: "verify", class: "main", disabled: kept.verifying, onclick: () => verify(context) }, kept.verifying ? "Verifying" : "Verify the whole chain")),
    h("p", { class: "muted" }, "The reason trail, append-only and hash-chained: each record holds the hash of the one before."),
    kept.verdict && h("div", { class: kept.verdict.bad ? "banner bad" : "banner", role: "status" }, h("span", { class: "verdict" }, mark(kept.verdict.bad ? "broken" : "kept", ""), h("b", {}, kept.verdict.words))),
    h("section", { class: "panel" }, items.length ? table(["No.", "At", "Kind", "Content", "Hash"], items.map(row)) : empty("No record here", "Findings, rulings and runs are recorded as they happen.")),
    h("div", { class: "pager" },
      h("button", { type: "button", disabled: !(kept.back ?? []).length, onclick: () => turn(kept.back.at(-1))() }, "Back"),
      h("button", { type: "button", disabled: items.length < PAGE || last === null, onclick: turn(last) }, "On")),
  ];
}

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

const LONGEST = 400;

function row({ number: count, at, kind, body, hash }) {
  const content = JSON.stringify(body ?? {});
  return h("tr", { "data-key": String(count) },
    h("td", { class: "number" }, String(count)),
    h("td", { class: "small when" }, at ? stamp(at) : ""),
    h("td", {}, sentence(kind ?? "")),
    h("td", { class: "mono small content" }, content.length > LONGEST ? `${content.slice(0, LONGEST)}…` : content),
    h("td", { class: "mono hash", title: String(hash ?? "") }, String(hash ?? "").slice(0, 12)));
}
