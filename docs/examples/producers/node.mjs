// Push from Node.js without any package: two commands of Redis' protocol (RESP) over a socket.
import { randomBytes } from "node:crypto";
import { connect } from "node:net";

const url = new URL(process.env.TAILRACE_REDIS_URL ?? "redis://127.0.0.1:6379/0");
const now = Date.now();
const id = `${now.toString(16)}-${randomBytes(8).toString("hex")}`;
const push = { to: "room:1", event: "greeting", data: { from: "node" } };
const job = JSON.stringify({ t: null, f: "push", a: [push], k: {}, et: now });

const command = (...words) => `*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("");
const commands = [
  command("SELECT", url.pathname.slice(1) || "0"),
  command("SET", `arq:job:${id}`, job, "PX", "86400000"),
  command("ZADD", "tailrace:queue", String(now), id),
];

const socket = connect(Number(url.port || 6379), url.hostname, () => socket.write(commands.join("")));
let answers = "";
socket.on("data", (data) => {
  answers += data;
  if (answers.split("\r\n").length > commands.length) {
    socket.end();
    if (/^-/m.test(answers)) throw new Error(answers);
    console.log(`enqueued ${id}`);
  }
});
