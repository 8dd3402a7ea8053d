// Numbers, times and standings in words. What is not known is said to be unknown, never shown as zero.

let skewMs = 0;

export const UNKNOWN = "unknown";

// The service's clock rules: countdowns must not depend on the clock of the machine that looks on.
export const setClock = (at) => {
  skewMs = Date.parse(at) - Date.now();
};
export const now = () => Date.now() + skewMs;

export const STANDINGS = {
  broken: "not as promised",
  unknown: "unknown",
  kept: "as promised",
  not_promised: "nothing promised",
};

export const OBJECTIVES = {
  cpu_delay: { name: "Waiting for a CPU", unit: "share" },
  memory_lost: { name: "Memory taken away", unit: "share" },
  disk_latency: { name: "Disk latency", unit: "seconds" },
  net_drops: { name: "Packets dropped", unit: "share" },
};

export const LIMITS = {
  cpu_cap: { name: "CPU cap", unit: "cores" },
  cpu_weight: { name: "CPU weight", unit: "weight" },
  memory: { name: "Memory", unit: "bytes" },
  disk_iops: { name: "Disk operations", unit: "iops" },
  disk_bandwidth: { name: "Disk bandwidth", unit: "bytes_s" },
  net_in: { name: "Network, to the guest", unit: "bytes_s" },
  net_out: { name: "Network, from the guest", unit: "bytes_s" },
};

const short = (value) => {
  if (value === 0) return "0";
  if (Math.abs(value) < 0.001) return value.toExponential(1);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(Math.abs(value) >= 1 ? 3 : 2)));
};

function bytes(value) {
  let left = value;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (Math.abs(left) < 1000) return `${short(left)} ${unit}`;
    left /= 1000;
  }
  return `${short(left)} TB`;
}

function mebibytes(value) {
  let left = value / 2 ** 20;
  if (left < 1024) return `${short(left)} MiB`;
  left /= 1024;
  return left < 1024 ? `${short(left)} GiB` : `${short(left / 1024)} TiB`;
}

function seconds(value) {
  if (value < 0.001) return `${short(value * 1e6)} µs`;
  return value < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`;
}

const UNITS = {
  share: (v) => `${short(v * 100)} %`,
  seconds,
  cores: (v) => `${short(v)} cores`,
  weight: (v) => `${short(v)} ×`,
  bytes: mebibytes,
  iops: (v) => `${short(v)} IO/s`,
  bytes_s: (v) => `${bytes(v)}/s`,
  plain: short,
};

// The same with two digits, where there is little room.
export const roughly = (value, unit) => amount(typeof value === "number" ? Number(value.toPrecision(2)) : value, unit);

export function amount(value, unit = "plain") {
  return typeof value === "number" ? (UNITS[unit] ?? short)(value) : UNKNOWN;
}

// A number with a unit as the model writes it: "s/s", "cores", "B/s", "s", "".
export function measured(value, unit) {
  const known = { "s/s": "share", s: "seconds", "B/s": "bytes_s", B: "bytes", cores: "cores", "IO/s": "iops" };
  if (unit in known) return amount(value, known[unit]);
  return typeof value === "number" ? `${short(value)} ${unit}`.trim() : UNKNOWN;
}

export function lasting(ms) {
  const whole = Math.max(0, Math.round(ms / 1000));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 172_800) return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86_400)} days`;
}

export const until = (iso) => {
  const left = Date.parse(iso) - now();
  return left > 0 ? lasting(left) : "expiring";
};

export function ago(iso) {
  const passed = now() - Date.parse(iso);
  return passed < 5000 ? "just now" : `${lasting(passed).replace(/ \d\d s$/, "")} ago`;
}

export const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB");
export const stamp = (iso) => new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const sentence = (word) => {
  if (word in OBJECTIVES) return OBJECTIVES[word].name;
  const text = String(word).replaceAll("_", " ").replace(/\bcpu\b/g, "CPU").replace(/\biops\b/g, "IOPS");
  return text.charAt(0).toUpperCase() + text.slice(1);
};

export const shortId = (id) => (id.length > 13 ? `${id.slice(0, 8)}…` : id);
export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// Refreshes every countdown and age on the page, each second, without asking anybody.
export function tickTimes(root) {
  for (const node of root.querySelectorAll("[data-until]")) node.textContent = until(node.dataset.until);
  for (const node of root.querySelectorAll("[data-ago]")) node.textContent = ago(node.dataset.ago);
}
