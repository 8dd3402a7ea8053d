// VM ids are for machines; people read names. Remembers the name of each id that it has seen.

import { get, part } from "./api.js";
import { h } from "./dom.js";
import { shortId } from "./words.js";

const known = new Map();
const AT_ONCE = 50;

export const learn = (id, name) => known.set(id, name);
export const nameOf = (id) => known.get(id) ?? shortId(id);

// Asks for the names of ids that are not known yet, all at once. A VM that is gone keeps its short id.
export async function learnAll(ids, signal) {
  const missing = [...new Set(ids)].filter((id) => id && !known.has(id)).slice(0, AT_ONCE);
  if (!missing.length) return;
  const found = await get("/vms", { id: missing, limit: AT_ONCE }, signal);
  for (const id of missing) learn(id, shortId(id));
  for (const { vm } of found.items) learn(vm.id, vm.name);
}

export const vmLink = (id) => h("a", { href: `/vms/${part(id)}`, title: id }, nameOf(id));
