// The ledger: every record chained to the one before it. Whoever changes one breaks the chain.

import { Refusal, get } from "../api.js";
import { h } from "../dom.js";
import { learnAll, nameOf } from "../names.js";
import { empty, heading, mark, noted, table } from "../parts.js";
import { plural, sentence, stamp } from "../words.js";

const PAGE = 100;

export const follows = [];
export const title = () => "Ledger";

export async function load({ kept, signal }) {
  const found = await get("/ledger", { after: kept.after ?? 0, limit: PAGE }, signal);
  await learnAll(found.items.map(({ body }) => vmOf(body ?? {})).filter((id) => typeof id === "string" && id.length <= 256), signal);
  return found;
}

const vmOf = (body) => body.vm ?? body.action?.vm ?? body.subject ?? body.cause;

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

function row({ number: count, at, kind, body, hash }) {
  return h("tr", { "data-key": String(count) },
    h("td", { class: "number" }, String(count)),
    h("td", { class: "small when" }, at ? stamp(at) : ""),
    h("td", {}, sentence(kind ?? "")),
    h("td", { class: "small content" }, noted(body ?? {}, gist(body ?? {}))),
    h("td", { class: "mono hash", title: String(hash ?? "") }, String(hash ?? "").slice(0, 12)));
}

// The few words of a record that people look for; all of it is behind them.
function gist(body) {
  const vm = vmOf(body);
  const found = [body.verb ?? body.action?.verb, vm && nameOf(vm), body.state ?? body.verdict, body.rule && `rule ${body.rule}`, body.by && `by ${body.by}`, body.summary ?? body.reason];
  return found.filter((word) => typeof word === "string" && word).join(" · ").slice(0, 300) || "details";
}
