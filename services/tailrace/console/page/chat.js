// Chat with rooms: each room is a channel, `room:<name>`, and each message an event `chat-message`.

import { append, find, make, uuid } from "./dom.js";
import { clock, hush, say, t } from "./i18n.js";
import { Seen } from "./ingest.js";

const ROOMS = ["lobby", "tech", "tea"];
export const CHAT = "chat-message";
const MOST = 200;
const NAME = "tailrace-name";
const OWN_ROOMS = "tailrace-rooms";
const HUES = 12;

// All rooms of this tab: those that everybody has, and those that its user has entered.
export function rooms() {
  return [...ROOMS, ...ownRooms()];
}

function ownRooms() {
  return JSON.parse(sessionStorage.getItem(OWN_ROOMS) ?? "[]");
}

export class Chat {
  #stream;
  #ingest;
  #seen = new Seen();
  #rooms = new Map();
  #room = "";

  constructor(stream, ingest) {
    this.#stream = stream;
    this.#ingest = ingest;
    const name = find("name");
    name.value = sessionStorage.getItem(NAME) ?? t("guest", { number: 10 + Math.floor(Math.random() * 90) });
    name.addEventListener("change", () => sessionStorage.setItem(NAME, name.value));
    for (const room of rooms()) this.#add(room);
    this.#show(ROOMS[0]);
    find("enter").addEventListener("submit", (event) => this.#enter(event));
    find("say").addEventListener("submit", (event) => this.#say(event));
    stream.addEventListener("event", ({ detail }) => detail.type === CHAT && detail.data && this.#take(detail));
  }

  #add(room) {
    const label = make("span");
    if (ROOMS.includes(room)) say(label, `room-${room}`);
    else label.textContent = room;
    const badge = make("span", { className: "badge", hidden: true });
    const button = make("button", { type: "button" }, label, badge);
    button.dataset.room = room;
    button.addEventListener("click", () => this.#show(room));
    find("rooms").append(button);
    this.#rooms.set(room, { button, badge, messages: [], pending: new Map(), unread: 0 });
  }

  #show(room) {
    this.#room = room;
    for (const [name, { button }] of this.#rooms) button.setAttribute("aria-pressed", name === room);
    const shown = this.#rooms.get(room);
    shown.unread = 0;
    hush(shown.badge);
    shown.badge.hidden = true;
    const list = find("messages");
    list.replaceChildren(...shown.messages, ...shown.pending.values());
    if (!list.children.length) list.append(say(make("li", { className: "nobody" }), "room-empty"));
    list.scrollTop = list.scrollHeight;
  }

  #take({ data, old }) {
    const room = this.#rooms.get(data.room);
    if (!room || !this.#seen.isNew(data.id)) return;
    const item = message(data, data.from === this.#stream.client);
    room.messages.push(item);
    if (room.messages.length > MOST) room.messages.shift();
    this.#drop(room, data.id);
    if (data.room === this.#room) {
      this.#append(item);
      find("messages").append(...room.pending.values()); // what hasn't arrived yet stays last
    } else if (!old) {
      room.unread += 1;
      room.badge.textContent = room.unread;
      room.badge.hidden = false;
    }
  }

  #append(item) {
    find("messages").querySelector(".nobody")?.remove();
    append(find("messages"), item, MOST);
  }

  // A message is shown at once, faintly, until it arrives as it does for everybody else.
  #wait(room, id, data) {
    const item = message({ ...data, timestamp: Date.now() }, true);
    item.classList.add("pending");
    room.pending.set(id, item);
    this.#append(item);
  }

  #drop(room, id) {
    room.pending.get(id)?.remove();
    room.pending.delete(id);
  }

  #enter(event) {
    event.preventDefault();
    const room = find("room").value.trim();
    if (!room) return;
    if (!this.#rooms.has(room)) {
      this.#add(room);
      sessionStorage.setItem(OWN_ROOMS, JSON.stringify([...ownRooms(), room]));
    }
    this.#stream.add(`room:${room}`);
    this.#show(room);
    find("room").value = "";
  }

  async #say(event) {
    event.preventDefault();
    const words = find("words");
    const text = words.value.trim();
    if (!text) return;
    words.value = "";
    hush(find("chat-answer"));
    const data = { room: this.#room, sender: find("name").value.trim() || "?", message: text, from: this.#stream.client };
    const id = uuid();
    const room = this.#rooms.get(data.room);
    this.#wait(room, id, data);
    try {
      await this.#ingest.publish(`room:${data.room}`, CHAT, data, id);
    } catch (error) {
      this.#drop(room, id);
      say(find("chat-answer"), "not-sent", { message: error.message });
      words.value ||= text;
    }
  }
}

function message({ sender, message: text, timestamp }, mine) {
  const name = String(sender);
  const face = make("span", { className: `face hue-${hue(name)}`, textContent: [...name][0] ?? "?" });
  face.setAttribute("aria-hidden", "true");
  const head = make("p", { className: "who" }, make("b", { textContent: name }), make("time", { textContent: clock(timestamp) }));
  return make("li", { className: mine ? "mine" : "" }, face, make("div", {}, head, make("p", { className: "said", textContent: String(text) })));
}

function hue(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % HUES;
}
