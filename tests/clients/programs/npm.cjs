// Reads a stream with one package of npm: `node npm.cjs PACKAGE URL` prints a JSON line for each event and each error.
const TYPES = ["message", "connect", "gap", "reset"];
const print = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const take = (type, data, id) => print({ type, data: data ?? "", id: id ?? "" });
const fail = (error) => print({ type: "(error)", data: String(error?.message ?? error?.type ?? error), id: "" });

function listen(source) {
  for (const type of TYPES) source.addEventListener(type, (event) => take(type, event.data, event.lastEventId));
  source.onerror = fail;
}

const READERS = {
  eventsource2: (url) => listen(new (require("eventsource2"))(url)),
  eventsource3: async (url) => listen(new (await import("eventsource3")).EventSource(url)),
  eventsource4: async (url) => listen(new (await import("eventsource4")).EventSource(url)),
  "event-source-polyfill": (url) => listen(new (require("event-source-polyfill").EventSourcePolyfill)(url)),
  "launchdarkly-eventsource": (url) => listen(new (require("launchdarkly-eventsource").EventSource)(url, { initialRetryDelayMillis: 100 })),
  "eventsource-client": async (url) => {
    const { createEventSource } = await import("eventsource-client");
    createEventSource({
      url,
      onMessage: ({ event, data, id }) => take(event ?? "message", data, id),
      onDisconnect: () => fail("disconnected"),
    });
  },
  "fetch-event-source": async (url) => {
    globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
    globalThis.window = { setTimeout, clearTimeout, fetch };
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, {
      onmessage: ({ event, data, id }) => take(event || "message", data, id),
      onclose() { throw new Error("closed"); }, // without this it ends when the server drains
      onerror: (error) => { fail(error); },
    });
  },
};

const [name, url] = process.argv.slice(2);
Promise.resolve(READERS[name](url)).catch((error) => { fail(error); process.exit(1); });
