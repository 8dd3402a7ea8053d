// The console: finds the page for the address, draws it, and draws it again when something happens.

import { Refusal, get, logOut } from "./api.js";
import { h, morphChildren } from "./dom.js";
import { Live } from "./live.js";
import { empty } from "./parts.js";
import { applyTheme } from "./theme.js";
import { setClock, tickTimes } from "./words.js";
import * as finding from "./pages/finding.js";
import * as findings from "./pages/findings.js";
import * as fleet from "./pages/fleet.js";
import * as ledger from "./pages/ledger.js";
import * as policy from "./pages/policy.js";
import * as run from "./pages/run.js";
import * as runs from "./pages/runs.js";
import * as support from "./pages/support.js";
import * as vm from "./pages/vm.js";
import * as vms from "./pages/vms.js";

const PAGES = [
  [/^\/$/, fleet],
  [/^\/vms$/, vms],
  [/^\/vms\/([^/]+)$/, vm],
  [/^\/findings$/, findings],
  [/^\/findings\/([^/]+)$/, finding],
  [/^\/runs$/, runs],
  [/^\/runs\/([^/]+)$/, run],
  [/^\/support$/, support],
  [/^\/policy$/, policy],
  [/^\/ledger$/, ledger],
];
const NAV = [["/", "Fleet"], ["/findings", "Findings"], ["/runs", "Runs"], ["/support", "Support"], ["/policy", "Policy"], ["/ledger", "Ledger"]];
const EVERY_MS = 900;
const LIVE = { live: "Live", waiting: "Connecting", lost: "No contact" };

const root = document.getElementById("page");
const nav = document.getElementById("nav");
const live = document.getElementById("live");
const stopped = document.getElementById("stopped");
let current = null;
let pointer = null;
let openFindings = 0;

// What a page is given: its address, somewhere to keep what was chosen, and a way to be drawn again.
function visit(path, page, argument) {
  current?.stop.abort();
  const stop = new AbortController();
  const context = { path, argument, query: new URLSearchParams(location.search), signal: stop.signal, kept: {}, redraw: () => draw(), reload: () => load() };
  current = { page, context, stop, busy: false, again: false, last: 0, loaded: null };
  return load();
}

async function load() {
  const mine = current;
  if (mine.busy) {
    mine.again = true;
    return;
  }
  mine.busy = true;
  try {
    const loaded = await mine.page.load(mine.context);
    if (mine !== current) return;
    mine.loaded = loaded;
    draw();
  } catch (why) {
    if (mine !== current || why.name === "AbortError") return;
    if (!(why instanceof Refusal)) throw why;
    if (!mine.loaded) show([empty(why.code === "not_found" ? "There is nothing here" : "This cannot be shown now", why.words)], "Yamori");
  } finally {
    mine.busy = false;
    mine.last = Date.now();
    if (mine.again) {
      mine.again = false;
      later(mine);
    }
  }
}

function draw() {
  if (current.loaded === null) return;
  show(current.page.view(current.loaded, current.context).flat(Infinity).filter(Boolean), current.page.title(current.loaded));
}

function show(nodes, title) {
  document.title = title === "Yamori" ? title : `${title} · Yamori`;
  morphChildren(root, nodes);
  tickTimes(root);
  root.querySelector(".plot:hover")?.onpointermove?.(pointer ?? { clientX: 0 });
}

function later(mine) {
  if (mine.timer) return;
  const wait = Math.max(0, EVERY_MS - (Date.now() - mine.last));
  mine.timer = setTimeout(() => {
    mine.timer = null;
    if (mine === current && !document.hidden) load();
  }, wait);
}

function drawNav() {
  const first = `/${location.pathname.split("/")[1]}`;
  const here = first === "/vms" ? "/" : first;
  morphChildren(nav, NAV.map(([href, name]) =>
    h("a", { href, "aria-current": href === here && "page" }, name,
      href === "/findings" && openFindings > 0 && h("span", { class: "count", "aria-label": `${openFindings} open` }, openFindings > 99 ? "99+" : openFindings))));
}

// Says on every page that modules are kept from acting: whoever wonders why nothing happens must see it first.
async function showSwitch() {
  const { on, by, reason } = await get("/kill-switch").catch(() => ({ on: false }));
  stopped.hidden = !on;
  stopped.textContent = on ? `Kill switch on: modules only observe${by ? ` (${by}: ${reason})` : ""}` : "";
}

async function countFindings() {
  const found = await get("/findings", { open: true, limit: 100 }).catch(() => null);
  if (found) openFindings = found.items.length;
  drawNav();
}

function go(moved) {
  drawNav();
  for (const [pattern, page] of PAGES) {
    const match = pattern.exec(location.pathname);
    if (!match) continue;
    if (moved) {
      root.replaceChildren();
      scrollTo(0, 0);
      root.focus({ preventScroll: true });
    }
    return visit(location.pathname, page, match[1] && decodeURIComponent(match[1]));
  }
  return show([empty("There is no such page", h("a", { href: "/" }, "Go to the fleet"))], "Yamori");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const plain = !event.defaultPrevented && event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !plain || link.origin !== location.origin || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  go(true);
});

document.addEventListener("keydown", (event) => {
  const search = root.querySelector("input[type=search]");
  if (event.key === "/" && search && !event.target.closest("input, textarea, select, dialog")) {
    event.preventDefault();
    search.focus();
  }
});

addEventListener("pointermove", (event) => (pointer = event));
addEventListener("popstate", () => go(true));
document.addEventListener("visibilitychange", () => !document.hidden && current && later(current));
setInterval(() => tickTimes(root), 1000);

applyTheme(document.getElementById("theme"));
document.getElementById("logout").onclick = logOut;
setClock((await get("/service")).at);
new Live({
  onState: (state) => {
    live.dataset.state = state;
    live.textContent = LIVE[state];
  },
  onEvent: (kind) => {
    if (kind === "hello" || kind.startsWith("finding")) countFindings();
    if (kind === "hello" || kind === "kill_switch") showSwitch();
    if (current && (kind === "hello" || current.page.follows.some((word) => kind.startsWith(word)))) later(current);
  },
});
countFindings();
go(false);
