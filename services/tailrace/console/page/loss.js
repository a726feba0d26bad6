// The panel that shows what `gap` and `reset` look like, and makes them happen.

import { append, find, make } from "./dom.js";
import { clock, say } from "./i18n.js";

const MOST = 30;
const AWAY_S = 3 * 86_400;
const QUIET_MS = 1500;

export class Loss {
  #stream;
  #list = find("notices");
  #waiting = 0;

  constructor(stream) {
    this.#stream = stream;
    find("make-reset").addEventListener("click", () => stream.connect("broken-on-purpose"));
    find("make-gap").addEventListener("click", () => this.#age());
    stream.addEventListener("event", ({ detail: { type, text, data } }) => {
      if (type === "connect" && this.#waiting) this.#waiting = setTimeout(() => this.#complete(), QUIET_MS);
      if (type === "reset") this.#notice("reset", "reset-words", {}, text);
      if (type === "gap") this.#gap(data, text);
    });
  }

  // The console moves the cursor back in time: what it holds is not this page's to read.
  async #age() {
    const cursor = this.#stream.cursor;
    if (!cursor) {
      say(find("no-notice"), "no-cursor");
      return;
    }
    const response = await fetch(`aged-cursor?${new URLSearchParams({ cursor, age_s: AWAY_S })}`);
    if (!response.ok) return;
    clearTimeout(this.#waiting);
    this.#waiting = -1; // from `connect` on it can be told whether something is missing
    this.#stream.connect((await response.json()).cursor);
  }

  #complete() {
    this.#notice("complete", "complete-words", {}, this.#stream.cursor);
  }

  #gap({ channel, after, next }, text) {
    this.#notice("gap", "gap-words", { channel, after: { moment: moment(after) }, next: { moment: moment(next) } }, text);
  }

  #notice(type, key, values, text) {
    clearTimeout(this.#waiting);
    this.#waiting = 0;
    find("no-notice").hidden = true;
    const head = make("p", { className: "what" }, make("b", { textContent: type }), make("time", { textContent: clock(Date.now()) }));
    const item = make("li", {}, head, say(make("p"), key, values), make("code", { textContent: text }));
    item.dataset.type = type;
    append(this.#list, item, MOST);
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}

// An entry's id begins with the Unix milliseconds of when it was appended.
function moment(id) {
  return Number(id.split("-")[0]);
}
