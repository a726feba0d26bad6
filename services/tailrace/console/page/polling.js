// What polling would have cost so far, reckoned from when events really came.

import { find } from "./dom.js";
import { number, say, span } from "./i18n.js";

const NOT_ASKED_FOR = new Set(["connect", "heartbeat"]); // what a poll would have no use for

export class Polling {
  #began = 0;
  #streams = 0;
  #events = 0;
  #bytes = 0;
  #moments = [];

  constructor(stream) {
    stream.addEventListener("opening", () => {
      this.#began ||= Date.now();
      this.#streams += 1;
    });
    stream.addEventListener("event", ({ detail }) => {
      this.#bytes += detail.text.length + detail.id.length + detail.type.length + 24;
      if (detail.old || NOT_ASKED_FOR.has(detail.type)) return;
      this.#events += 1;
      this.#moments.push(Date.now() - this.#began);
    });
    stream.addEventListener("trouble", ({ detail }) => (this.#streams += detail.gone ? 0 : 1)); // the browser asks again
    find("poll-every").addEventListener("change", () => this.show());
    setInterval(() => this.show(), 1000);
    this.show();
  }

  show() {
    if (!this.#began) {
      say(find("polling-words"), "polling-none");
      return;
    }
    const every = Number(find("poll-every").value);
    const seconds = (Date.now() - this.#began) / 1000;
    const polls = Math.floor(seconds / every);
    const windows = this.#moments.map((moment) => Math.floor(moment / 1000 / every));
    const useful = new Set(windows.filter((window) => window < polls)).size;
    const late = this.#moments.map((moment) => every - ((moment / 1000) % every));
    find("polls").textContent = number(polls);
    find("streams").textContent = number(this.#streams);
    say(find("polling-words"), "polling-words", {
      time: span(seconds),
      polls: counted(polls, "once", "n-times"),
      empty: number(polls - useful),
      delay: number(late.length ? late.reduce((sum, each) => sum + each, 0) / late.length : every / 2, 1),
      streams: counted(this.#streams, "one-request", "n-requests"),
      events: counted(this.#events, "one-event", "n-events"),
      bytes: size(this.#bytes),
    });
    if (this.#moments.length > 20_000) this.#moments.splice(0, 10_000);
  }
}

function counted(count, one, many) {
  return count === 1 ? { t: one } : { t: many, count: number(count) };
}

function size(bytes) {
  return bytes < 100_000 ? `${number(bytes / 1000, 1)} kB` : `${number(bytes / 1_000_000, 2)} MB`;
}
