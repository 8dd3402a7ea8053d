// Dialogs for what acts: each says what will happen, can be tried first, and shows what policy ruled.

import { Refusal, part, post } from "./api.js";
import { h } from "./dom.js";
import { note } from "./parts.js";
import { LIMITS, amount } from "./words.js";

function open(title, body, actions) {
  const said = h("p", { class: "said", role: "alert" });
  const dialog = h("dialog", { "aria-label": title });
  const buttons = actions.map(({ words, kind, act }) =>
    h("button", { type: "button", class: kind, onclick: () => guarded(dialog, said, act) }, words));
  dialog.append(h("h2", {}, title), ...body, said, h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), buttons));
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

async function guarded(dialog, said, act) {
  const buttons = dialog.querySelectorAll(".actions button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    const words = await act();
    said.className = "said";
    said.textContent = words ?? "";
    if (words === null) dialog.close();
  } catch (why) {
    if (!(why instanceof Refusal)) throw why;
    said.className = "said bad";
    said.textContent = why.words;
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

// What policy ruled, in words; null when it is done and the dialog may close.
function outcome({ decision, run }, dry, done) {
  const rule = `${decision.reason} (rule ${decision.rule})`;
  if (decision.verdict !== "allow") return `Not done: ${rule}`;
  if (dry) return `Would be done: ${rule}${forecast(run?.before?.forecast)}`;
  note(h("span", {}, `${done} `, run && h("a", { href: `/runs/${part(run.id)}` }, "Show the run")));
  return null;
}

// How a move would go, as its check has found: whether, and how long, the VM stands still.
function forecast(found) {
  if (!found) return "";
  const known = typeof found.downtime_s === "number";
  const long = known ? `about ${amount(found.downtime_s, "seconds")}` : "nobody can tell how long";
  const how = found.live ? `It moves live, with a pause at the end: ${long}` : `It does not move live, it stands still meanwhile: ${long}`;
  return `. ${how}${found.why ? ` (${found.why})` : ""}`;
}

export function confirmUndo(run, name, after) {
  open(`Undo this run on ${name}?`, [h("p", {}, "What held before the run is put back now. The undoing is itself recorded.")], [
    { words: "Undo", kind: "main", act: async () => {
      const undone = await post(`/runs/${part(run.id)}/undo`, {});
      note(`${name}: ${undone.state === "undone" ? "what held before is back" : `the run is ${undone.state}`}`);
      after();
      return null;
    } },
  ]);
}

export function confirmRelease(vm, after) {
  const ask = (dry) => async () => {
    const words = outcome(await post(`/vms/${part(vm.id)}/release`, { reason: "released at the console", dry_run: dry }), dry, `${vm.name} is released.`);
    if (!dry) after();
    return words;
  };
  open(`Release ${vm.name}?`, [h("p", {}, "The VM gets back the limits that it had before the throttle.")], [
    { words: "Try", act: ask(true) },
    { words: "Release", kind: "main", act: ask(false) },
  ]);
}

const SCALES = { bytes: [2 ** 20, "MiB"], bytes_s: [1e6, "MB/s"], cores: [1, "cores"], weight: [1, "× ordinary"], iops: [1, "IO/s"] };

export function askThrottle(vm, settable, after) {
  const kind = h("select", { name: "kind" }, settable.map((word) => h("option", { value: word }, LIMITS[word]?.name ?? word)));
  const value = h("input", { type: "number", min: "0", step: "any", required: true, inputmode: "decimal" });
  const unit = h("span", {}, "");
  const minutes = h("input", { type: "number", min: "0.1", max: "10080", step: "any", value: "10", required: true });
  const reason = h("input", { type: "text", maxlength: "500", required: true });
  const scale = () => SCALES[LIMITS[kind.value]?.unit] ?? [1, ""];
  kind.onchange = () => (unit.textContent = `At most, in ${scale()[1]}`);
  kind.onchange();
  const ask = (dry) => async () => {
    for (const field of [value, minutes, reason]) if (!field.reportValidity()) return "";
    const limit = Number(value.value) * scale()[0];
    const body = { limits: { [kind.value]: limit }, expires_after_s: Number(minutes.value) * 60, reason: reason.value, dry_run: dry };
    const done = `${vm.name}: ${LIMITS[kind.value].name} at most ${amount(limit, LIMITS[kind.value].unit)}.`;
    const words = outcome(await post(`/vms/${part(vm.id)}/throttle`, body), dry, done);
    if (!dry) after();
    return words;
  };
  open(`Throttle ${vm.name}`, [
    h("p", { class: "muted" }, "Policy rules on it as on every action. It ends by itself."),
    h("div", { class: "row" }, h("label", {}, "Limit", kind), h("label", {}, unit, value)),
    h("label", {}, "For how many minutes", minutes),
    h("label", {}, "Reason, for the record", reason),
  ], [{ words: "Try", act: ask(true) }, { words: "Throttle", kind: "main", act: ask(false) }]);
}

export function askKillSwitch(on, after) {
  const reason = h("input", { type: "text", maxlength: "500", required: true });
  const what = on ? "Modules only observe from now on, whatever policy allows. Holds still end in time; runs under way come to their end; you may still act."
    : "Policy rules again on what modules propose.";
  open(on ? "Keep modules from acting?" : "Let modules act again?", [h("p", {}, what), h("label", {}, "Reason, for the record", reason)], [
    { words: on ? "Keep them from acting" : "Let them act", kind: "main", act: async () => {
      if (!reason.reportValidity()) return "";
      await post("/kill-switch/throw", { on, reason: reason.value });
      after();
      return null;
    } },
  ]);
}

export function askMigrate(vm, hosts, after) {
  const to = h("select", {}, h("option", { value: "" }, "wherever it fits best"), hosts.map((host) => h("option", { value: host.id }, host.name)));
  const stopping = h("input", { type: "checkbox" });
  const ask = (dry) => async () => {
    const body = { to: to.value || null, stopping: stopping.checked, reason: "moved at the console", dry_run: dry };
    const words = outcome(await post(`/vms/${part(vm.id)}/migrate`, body), dry, `${vm.name} moves.`);
    if (!dry) after();
    return words;
  };
  open(`Move ${vm.name}`, [
    h("p", { class: "muted" }, "Encrypted. Whatever fails, exactly one copy runs. Try says whether it moves live."),
    h("label", {}, "To", to),
    h("label", { class: "leave" }, stopping, "It may stand still meanwhile, if it cannot move live"),
  ], [{ words: "Try", act: ask(true) }, { words: "Move", kind: "main", act: ask(false) }]);
}
