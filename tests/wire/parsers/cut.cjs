// Serve a stream that is cut after each of its bytes to one of the npm packages `eventsource` and `@microsoft/fetch-event-source`, and
// let it resume. In: {"package", "blocks"}, of which the first is `connect`. Out: for each cut from 0 on, what the client dispatched
// beside `connect` ([[event, data], ...]).
const http = require("node:http");
const { readFileSync } = require("node:fs");

const AT_ONCE = 40;
const { package: name, blocks } = JSON.parse(readFileSync(0, "utf8"));
const parts = blocks.map((block) => Buffer.from(block));
const ids = blocks.map((block) => /^id: (.*)$/m.exec(block)[1]);
const types = new Set(blocks.slice(1).map((block) => /^event: (.*)$/m.exec(block)[1]));
const stream = Buffer.concat(parts);

// First comes the stream up to the cut, then, as from an edge, `connect` and all that comes after the client's id, with an end. (The package
// `eventsource` keeps the data lines of a cut event, and prepends them to those of the next event. So that is always `connect`.)
const came = new Map();
const server = http.createServer((request, response) => {
  const cut = request.url.slice(1);
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  if (!came.has(cut)) {
    came.set(cut, true);
    response.write(stream.subarray(0, Number(cut)), () => setTimeout(() => response.destroy(), 5));
    return;
  }
  const id = request.headers["last-event-id"] ?? ids[0];
  const connect = Buffer.from(blocks[0].replace(/^id: .*$/m, `id: ${id}`));
  response.write(Buffer.concat([connect, ...parts.slice(ids.indexOf(id) + 1), Buffer.from("event: end\ndata: \n\n")]));
});

const clients = {
  eventsource: (url, take) =>
    new Promise((resolve) => {
      const EventSource = require("eventsource");
      const source = new EventSource(url);
      source.reconnectInterval = 1;
      for (const type of types) source.addEventListener(type, (event) => take(type, event.data));
      source.addEventListener("end", () => resolve(source.close()));
    }),
  "fetch-event-source": (url, take) => {
    const { fetchEventSource } = require("@microsoft/fetch-event-source");
    const stop = new AbortController();
    return fetchEventSource(url, {
      fetch,
      signal: stop.signal,
      openWhenHidden: true,
      onmessage: ({ event, data }) => (event === "end" ? stop.abort() : event !== "connect" && take(event, data)),
      onclose: () => {
        throw new Error("the stream ended");
      },
      onerror: () => 1,
    });
  },
};
globalThis.window = globalThis;
globalThis.document = { removeEventListener() {} };

server.listen(0, "127.0.0.1", async () => {
  const seen = [];
  let next = 0;
  async function work() {
    while (next <= stream.length) {
      const cut = next++;
      seen[cut] = [];
      await clients[name](`http://127.0.0.1:${server.address().port}/${cut}`, (event, data) => seen[cut].push([event, data]));
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  process.stdout.write(JSON.stringify(seen), () => process.exit(0));
});
