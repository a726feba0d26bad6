// One subscription that outlives its connections. An EventSource knows no "reconnect": it is derived here from `error`,
// `readyState` and the next `connect`. The cursor and the client's id are kept, so nothing is missed in between.
//
// Events of this object: `state`, `event` (all that arrives), `opening`, `trouble`, `moving`, `back`, `closed`.

const CONTROL = ["connect", "heartbeat", "gap", "reset", "drain", "busy"];
const LONGEST_MS = 10_000;
const OLD_MS = 60_000;

export class Stream extends EventTarget {
  #edges;
  #channels;
  #types;
  #rewind;
  #source = null;
  #edge = 0;
  #failures = 0;
  #timer = 0;
  #brokeAt = 0;
  #cursor = "";
  #before = 0;

  constructor({ edges, client, channels, types, rewind }) {
    super();
    this.client = client;
    this.state = "idle";
    this.#edges = edges;
    this.#channels = new Set(channels);
    this.#types = new Set([...CONTROL, "message", ...types]);
    this.#rewind = rewind;
  }

  // The host and port of the edge that the stream comes from.
  get edge() {
    return new URL(this.#url, location).host;
  }

  get #url() {
    return this.#edges[this.#edge];
  }

  get cursor() {
    return this.#cursor;
  }

  // Go on from the cursor, if there is one (or the one given); else begin now, with the last events of each channel.
  connect(cursor = this.#cursor) {
    this.#close();
    this.#failures = 0;
    this.#open(cursor);
  }

  disconnect() {
    if (this.state === "idle") return;
    this.#close();
    this.#brokeAt = 0;
    this.#become("idle");
    this.#tell("closed");
  }

  // Listen to another type of event; an EventSource tells only of types that it was asked for.
  listen(type) {
    if (this.#types.has(type)) return;
    this.#types.add(type);
    if (this.#source) this.#hear(this.#source, type);
  }

  add(channel) {
    if (this.#channels.has(channel)) return;
    this.#channels.add(channel);
    if (this.state !== "idle") this.connect();
  }

  #open(cursor = this.#cursor) {
    const query = new URLSearchParams([...this.#channels].map((channel) => ["channel", channel]));
    query.set("client_id", this.client);
    if (cursor) query.set("last_event_id", cursor);
    else query.set("rewind", this.#rewind);
    const source = new EventSource(`${this.#url.replace(/\/$/, "")}/sse?${query}`);
    this.#source = source;
    for (const type of this.#types) this.#hear(source, type);
    source.addEventListener("error", () => this.#failed(source));
    this.#become(this.#brokeAt ? "lost" : "connecting");
    this.#tell("opening", { edge: this.edge, resumed: Boolean(cursor) });
  }

  #hear(source, type) {
    source.addEventListener(type, (event) => {
      if (source !== this.#source) return;
      if (type === "connect") this.#connected(JSON.parse(event.data));
      if (type === "drain" || type === "busy") this.#failures += 1; // this edge ends: at the next error, go elsewhere at once
      this.#cursor = event.lastEventId || this.#cursor;
      const data = parsed(event.data);
      // What happened before this page looked belongs into lists, but nothing should move for it.
      const old = Date.parse(data?.timestamp) < this.#before;
      this.#tell("event", { type, text: event.data, data, old, id: event.lastEventId });
    });
  }

  #connected({ time }) {
    this.#before = Date.parse(time) - (this.#before ? OLD_MS : 0);
    this.#failures = 0;
    const away = this.#brokeAt ? Date.now() - this.#brokeAt : 0;
    this.#brokeAt = 0;
    this.#become("open");
    if (away) this.#tell("back", { seconds: (away / 1000).toFixed(1), edge: this.edge });
  }

  #failed(source) {
    if (source !== this.#source) return;
    this.#failures += 1;
    this.#brokeAt ||= Date.now();
    this.#become("lost");
    const gone = source.readyState === EventSource.CLOSED;
    this.#tell("trouble", { gone, state: source.readyState });
    if (gone || (this.#failures > 1 && this.#edges.length > 1)) this.#move();
  }

  // The browser has given up, or this edge doesn't come back: go on at the next one, later and later.
  #move() {
    this.#close();
    this.#edge = (this.#edge + 1) % this.#edges.length;
    if (this.#edges.length > 1) this.#tell("moving", { edge: this.edge });
    const longest = Math.min(LONGEST_MS, 250 * 2 ** this.#failures);
    this.#timer = setTimeout(() => this.#open(), longest * (0.5 + Math.random() / 2));
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #become(state) {
    this.state = state;
    this.#tell("state");
  }

  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// What an event holds if that is JSON; a push of `text` may hold anything.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
