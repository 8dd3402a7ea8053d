// One run: why it was, what it did step by step, what held before and what was read back after.

import { get, part } from "../api.js";
import { confirmUndo } from "../dialogs.js";
import { h } from "../dom.js";
import { learnAll, nameOf, vmLink } from "../names.js";
import { age, chip, crumb, empty, facts, heading, noted, panel, table } from "../parts.js";
import { clock, sentence } from "../words.js";
import { asked, canUndo, rows } from "./runs.js";

export const follows = ["run"];
export const title = ({ run }) => `${sentence(run.decision.action.verb)} ${nameOf(run.subject)}`;

export async function load({ argument, signal }) {
  const found = await get(`/runs/${part(argument)}/explain`, {}, signal);
  await learnAll([found.run.subject], signal);
  return found;
}

export function view({ run, finding, lines }, context) {
  const { action } = run.decision;
  const said = lines.filter((line) => !line.startsWith(" ")); // the indented ones are the journal, shown below
  return [
    crumb("/runs", "Runs"),
    heading(h("span", {}, `${sentence(action.verb)} `, vmLink(run.subject)), chip(run.state),
      canUndo(run) && h("button", { type: "button", class: "danger", onclick: () => confirmUndo(run, nameOf(run.subject), context.reload) }, "Undo")),
    h("p", { class: "muted" }, [asked(action), `asked for by ${run.proposal.by}`].filter(Boolean).join(" · "), " · ", age(run.created_at)),
    run.error && h("div", { class: "banner bad" }, h("b", {}, "It did not work"), h("span", {}, run.error)),
    h("div", { class: "two" },
      panel("Before and after", "Before: noted when checked. After: read back from the hypervisor.", compared(run)),
      panel("Why", null, said.length ? h("ol", { class: "reasons" }, said.map((line) => h("li", {}, line))) : empty("No reason is recorded"),
        finding && h("p", {}, h("a", { href: `/findings/${part(finding.id)}` }, "The finding with its evidence")))),
    h("div", { class: "two" },
      panel("Journal", "Written before and after each effect, so that a crash in between is mended.", journal(run.entries)),
      panel("Ruling", null, facts([
        ["Verdict", chip(run.decision.verdict)],
        ["Rule", h("code", {}, run.decision.rule)],
        ["Reason", run.decision.reason],
        ["Proposed", run.proposal.reason],
        ["Run", h("code", {}, run.id)],
      ]))),
  ];
}

function compared(run) {
  const found = rows(run.before, run.seen);
  if (!found.length) return empty("Nothing is noted", "The run ended before it had looked.");
  return table(["", "Before", "After"], found.map(([name, was, is]) => h("tr", {}, h("td", {}, name), h("td", {}, was), h("td", {}, was === is ? h("span", { class: "muted" }, "as before") : h("b", {}, run.seen ? is : "not read back")))));
}

function journal(entries) {
  if (!entries.length) return empty("The journal is empty");
  return h("ol", { class: "timeline" }, entries.slice(-100).map((e) => h("li", { class: e.state, "data-key": String(e.number) },
    h("div", { class: "run-line" }, h("b", {}, sentence(e.state)), e.step !== entries[0].step && h("span", { class: "muted" }, e.step), h("span", { class: "end muted small number" }, `${clock(e.at)}.${e.at.slice(20, 23)}`)),
    Object.keys(e.note).length > 0 && noted(e.note))));
}
