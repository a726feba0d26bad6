// The demo page: one stream, and what is shown of it.

import { CHAT, Chat, rooms } from "./chat.js";
import { startConnection } from "./connection.js";
import { DASHBOARD, Dashboard, MACHINE } from "./dashboard.js";
import { uuid } from "./dom.js";
import { startLanguage } from "./i18n.js";
import { Ingest } from "./ingest.js";
import { Log } from "./log.js";
import { Loss } from "./loss.js";
import { Polling } from "./polling.js";
import { Pushing } from "./pushing.js";
import { COMMENT, LIKE, Stage, STAGE } from "./stage.js";
import { Stream } from "./stream.js";
import { startTheme } from "./theme.js";

const CLIENT = "tailrace-client";

const config = await (await fetch("config.json")).json();
const client = sessionStorage.getItem(CLIENT) ?? uuid(); // kept while this tab lives, so that it stays the same client
sessionStorage.setItem(CLIENT, client);

const stream = new Stream({
  edges: config.edges,
  client,
  channels: [...rooms().map((room) => `room:${room}`), STAGE, DASHBOARD],
  types: [CHAT, COMMENT, LIKE, MACHINE],
  rewind: 60,
});
const ingest = new Ingest(config.ingest);

const changed = []; // what has to be written anew in another language
startTheme();
startLanguage(() => changed.forEach((show) => show()));
startConnection(stream, MACHINE);
new Log(stream);
new Chat(stream, ingest);
new Pushing(stream, ingest);
new Loss(stream, ingest);
const stage = new Stage(stream, ingest);
const dashboard = new Dashboard(stream);
const polling = new Polling(stream);
changed.push(() => stage.showLikes(), () => dashboard.show(), () => polling.show());

addEventListener("pagehide", () => stream.disconnect());
addEventListener("pageshow", (event) => event.persisted && stream.connect());
stream.connect();
