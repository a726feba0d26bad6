// Parse streams with the npm package `eventsource-parser`: a line of base64 in, a line of JSON ([[event, data, id], ...]) out.
import { createInterface } from "node:readline";
import { createParser } from "eventsource-parser";

for await (const line of createInterface({ input: process.stdin })) {
  const events = [];
  const parser = createParser({ onEvent: (event) => events.push([event.event ?? "message", event.data, event.id ?? null]) });
  parser.feed(new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.from(line, "base64")));
  process.stdout.write(JSON.stringify(events) + "\n");
}
