// Pushes through ingest's HTTP contract. A push with a `key` may be sent again: it is appended once.

import { uuid } from "./dom.js";
import { askToken, authorization } from "./token.js";

const TRIES = 3;
const PAUSE_MS = 400;

export class Ingest {
  #url;

  constructor(base) {
    this.#url = `${base.replace(/\/$/, "")}/push`;
  }

  // Return the answer: its HTTP status (0 where ingest can't be reached), its body and the milliseconds that it took.
  async push(push) {
    const began = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      const headers = { "Content-Type": "application/json", ...authorization() };
      try {
        const response = await fetch(this.#url, { method: "POST", headers, body: JSON.stringify(push) });
        if (response.status === 401 && (await askToken(headers.Authorization))) continue;
        return { status: response.status, body: await response.json(), ms: performance.now() - began };
      } catch (error) {
        if (attempt === TRIES || !push.key) return { status: 0, body: { status: "error", message: error.message }, ms: 0 };
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt));
      }
    }
  }

  // Push what has an id of its own, which is its key: whoever receives it twice knows it by that. Raises Error.
  async publish(to, event, data, id = uuid()) {
    const { status, body } = await this.push({ to, event, data: { id, ...data }, key: id });
    if (status === 0 || status >= 400) throw new Error(body.message);
  }
}

// Remembers ids, the newest few: after a replay something may come that is here already.
export class Seen {
  #ids = new Set();

  isNew(id) {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > 2000) this.#ids.delete(this.#ids.values().next().value);
    return true;
  }
}
