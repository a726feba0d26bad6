// The panel that shows what `gap` and `reset` look like, and makes them happen.

import { append, find, make } from "./dom.js";
import { clock, number, say } from "./i18n.js";

const MOST = 30;
const AWAY_S = 3 * 86_400;
const QUIET_MS = 1500;
const RING = 20_000; // an edge's --ring-entries, unless it was told otherwise
const AT_ONCE = 10_000; // what ingest takes in one array

export class Loss {
  #stream;
  #ingest;
  #list = find("notices");
  #waiting = 0;

  constructor(stream, ingest) {
    this.#stream = stream;
    this.#ingest = ingest;
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
    const item = this.#notice("complete", "complete-words", {}, this.#stream.cursor);
    const button = say(make("button", { type: "button" }), "outgrow", { count: number(RING) });
    button.addEventListener("click", () => this.#outgrow(button));
    item.append(button);
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  // Push as much as an edge keeps in memory, where nobody reads it: then older events can only come from histories.
  async #outgrow(button) {
    button.disabled = true;
    for (let sent = 0; sent < RING; sent += AT_ONCE) {
      const { status, body } = await this.#ingest.push(Array(AT_ONCE).fill({ to: "nobody", data: sent }));
      if (status === 200 || status === 202) continue;
      say(button, "not-sent", { message: body.message });
      return;
    }
    await this.#age();
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
    return item;
  }
}

// An entry's id begins with the Unix milliseconds of when it was appended.
function moment(id) {
  return Number(id.split("-")[0]);
}
