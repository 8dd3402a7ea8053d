// Reads the event stream and goes on where it left off. Read with fetch: EventSource cannot send our key.

import { headers, leave } from "./api.js";

const QUIET_MS = 40_000;

export class Live {
  constructor({ onEvent, onState }) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.last = null;
    this.failed = 0;
    this.run();
  }

  async run() {
    for (;;) {
      try {
        await this.read();
      } catch {
        this.failed += 1;
      }
      this.onState(this.failed > 1 ? "lost" : "waiting");
      await new Promise((done) => setTimeout(done, Math.min(10_000, 400 * 2 ** this.failed)));
    }
  }

  async read() {
    const stop = new AbortController();
    let quiet = setTimeout(() => stop.abort(), QUIET_MS);
    const resume = this.last ? { "Last-Event-ID": this.last } : {};
    const answer = await fetch("/api/v1/events", { headers: { ...headers(), ...resume }, signal: stop.signal });
    if (answer.status === 401) return leave();
    if (!answer.ok) throw new Error(String(answer.status));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return clearTimeout(quiet);
      clearTimeout(quiet);
      quiet = setTimeout(() => stop.abort(), QUIET_MS);
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const text of parts) this.take(text);
    }
  }

  take(text) {
    const message = { event: "message", data: "" };
    for (const line of text.split("\n")) {
      const at = line.indexOf(":");
      if (at > 0) message[line.slice(0, at)] = line.slice(at + 1).trimStart();
    }
    if (!message.data) return;
    if (message.id) this.last = message.id;
    this.failed = 0;
    this.onState("live");
    this.onEvent(message.event, JSON.parse(message.data));
  }
}
