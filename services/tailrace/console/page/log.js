// The log of everything: what arrives, and what becomes of the connection. Ticks that follow each other share a row.

import { append, find, make } from "./dom.js";
import { clock, say } from "./i18n.js";

const MOST = 300;
const TICKS = new Set(["heartbeat", "machine"]);
const CONTROL = new Set(["connect", "heartbeat"]);
const WARNING = new Set(["gap", "reset", "drain", "busy"]);

export class Log {
  #list = find("log");
  #last = null;

  constructor(stream) {
    find("clear").addEventListener("click", () => this.#clear());
    stream.addEventListener("event", ({ detail }) => this.#event(detail));
    stream.addEventListener("opening", ({ detail }) => {
      this.#note("open", "note", "log-opening", { edge: detail.edge, from: { t: detail.resumed ? "from-cursor" : "from-start" } });
    });
    stream.addEventListener("trouble", ({ detail }) => this.#note("error", "warning", detail.gone ? "log-gone" : "log-error", detail));
    stream.addEventListener("moving", ({ detail }) => this.#note("move", "note", "log-moving", detail));
    stream.addEventListener("back", ({ detail }) => this.#note("reconnect", "note", "log-back", detail));
    stream.addEventListener("closed", () => this.#note("close", "note", "log-closed"));
  }

  #event({ type, text, id }) {
    if (TICKS.has(type) && this.#last?.type === type) {
      this.#last.count += 1;
      this.#last.row.querySelector(".count").textContent = `× ${this.#last.count}`;
      this.#last.row.querySelector(".text").textContent = text;
      this.#last.row.querySelector(".id").textContent = id;
      return;
    }
    const kind = WARNING.has(type) ? "warning" : CONTROL.has(type) ? "control" : "event";
    this.#add(type, kind, make("span", { className: "text", textContent: text }), id);
  }

  #note(type, kind, key, values = {}) {
    this.#add(type, kind, say(make("span", { className: "text" }), key, values), "");
  }

  #add(type, kind, text, id) {
    const row = make(
      "li",
      { className: kind },
      make("time", { textContent: clock(Date.now()) }),
      make("b", {}, type, make("i", { className: "count" })),
      text,
      make("span", { className: "id", textContent: id }),
    );
    row.dataset.type = type;
    this.#last = { type, row, count: 1 };
    append(this.#list, row, MOST);
  }

  #clear() {
    this.#list.replaceChildren();
    this.#last = null;
  }
}
