// VM ids are for machines; people read names. Remembers the name of each id that it has seen.

import { get, part } from "./api.js";
import { h } from "./dom.js";
import { shortId } from "./words.js";

const known = new Map();
const AT_ONCE = 8;

export const learn = (id, name) => known.set(id, name);
export const nameOf = (id) => known.get(id) ?? shortId(id);

// Asks for the names of ids that are not known yet. A VM that is gone keeps its short id.
export async function learnAll(ids, signal) {
  const missing = [...new Set(ids)].filter((id) => id && !known.has(id)).slice(0, 64);
  for (let i = 0; i < missing.length; i += AT_ONCE) {
    await Promise.all(missing.slice(i, i + AT_ONCE).map(async (id) => {
      const found = await get(`/vms/${part(id)}`, {}, signal).catch(() => null);
      learn(id, found?.vm.name ?? shortId(id));
    }));
  }
}

export const vmLink = (id) => h("a", { href: `/vms/${part(id)}`, title: id }, nameOf(id));
