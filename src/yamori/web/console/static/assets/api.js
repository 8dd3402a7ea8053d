// Asks the REST interface. The session is a cookie that this program cannot see, and a key that it keeps here.

const KEY = "yamori.key";

export class Refusal extends Error {
  constructor(status, error) {
    super(error?.message ?? `the service answered with status ${status}`);
    this.status = status;
    this.code = error?.code ?? "unknown";
    this.subject = error?.subject ?? null;
    this.mend = error?.mend ?? null;
  }

  get words() {
    const what = this.subject && !this.message.includes(this.subject) ? `${this.subject}: ` : "";
    return `${what}${this.message}${this.mend ? ` (${this.mend})` : ""}`;
  }
}

export const keepKey = (key) => localStorage.setItem(KEY, key);
export const dropKey = () => localStorage.removeItem(KEY);
export const headers = () => ({ "X-Yamori-Key": localStorage.getItem(KEY) ?? "" });

export function leave() {
  dropKey();
  location.replace("/login");
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch (why) {
    if (why.name === "AbortError") throw why;
    throw new Refusal(0, { code: "unreachable", message: "Yamori does not answer", mend: "is yamori up running?" });
  }
  if (answer.status === 401) {
    leave();
    throw new DOMException("logged out", "AbortError");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refusal(answer.status, body?.error);
  return body;
}

export function get(path, query = {}, signal) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") words.append(name, one);
  }
  const tail = words.size ? `?${words}` : "";
  return ask(`/api/v1${path}${tail}`, { headers: headers(), signal });
}

// Each press of a button has a key of its own, so that a request repeated by the network is done once.
export function post(path, body, key = crypto.randomUUID()) {
  return ask(`/api/v1${path}`, {
    method: "POST",
    headers: { ...headers(), "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(body),
  });
}

export async function logOut() {
  await ask("/logout", { method: "POST", headers: headers() }).catch(() => null);
  leave();
}

export const part = (text) => encodeURIComponent(text);
