// The stage: bullet comments that fly past, and likes that add up.

import { calm, find, make } from "./dom.js";
import { hush, number, say } from "./i18n.js";
import { Seen } from "./ingest.js";

export const STAGE = "stage";
export const COMMENT = "comment";
export const LIKE = "like";
const COLOURS = ["snow", "sun", "coral", "mint"];
const LANE_PX = 36;
const CROSSING_MS = 7000;
const CALM_MS = 6000;
const GATHER_MS = 250;
const GAP_PX = 24;
const MOST_AT_ONCE = 80;
const MOST_HEARTS = 12;

export class Stage {
  #stream;
  #ingest;
  #seen = new Seen();
  #flight = find("flight");
  #lanes = [];
  #total = 0;
  #gathered = 0;

  constructor(stream, ingest) {
    this.#stream = stream;
    this.#ingest = ingest;
    find("comment").addEventListener("submit", (event) => this.#comment(event));
    find("like").addEventListener("click", () => this.#like());
    stream.addEventListener("event", ({ detail: { type, data, old } }) => {
      if (type !== COMMENT && type !== LIKE) return;
      if (!data || !this.#seen.isNew(data.id)) return;
      if (type === LIKE) this.#liked(data, old);
      else if (!old) this.#fly(data);
    });
  }

  showLikes() {
    find("likes").textContent = number(this.#total);
  }

  // All pages see likes in the same order, so all reckon the same sum. Who came late learns it from the sender's `total`,
  // which counts what the sender had seen and its own: never too much.
  #liked({ add, total, from }, old) {
    if (!(add > 0 && add < 1000 && total >= add)) return;
    this.#total = Math.max(this.#total + add, total);
    this.showLikes();
    if (!old && from !== this.#stream.client) this.#hearts(add);
  }

  // Clicks that come quickly after each other are one push.
  #like() {
    this.#hearts(1);
    this.#gathered += 1;
    if (this.#gathered > 1) return;
    setTimeout(() => {
      const add = this.#gathered;
      this.#gathered = 0;
      this.#publish(LIKE, { add, total: this.#total + add, from: this.#stream.client });
    }, GATHER_MS);
  }

  async #comment(event) {
    event.preventDefault();
    const input = find("comment-text");
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    const colour = document.querySelector("input[name=colour]:checked").value;
    if (!(await this.#publish(COMMENT, { text, colour, from: this.#stream.client }))) input.value ||= text;
  }

  async #publish(event, data) {
    hush(find("stage-answer"));
    try {
      await this.#ingest.publish(STAGE, event, data);
      return true;
    } catch (error) {
      say(find("stage-answer"), "not-sent", { message: error.message });
      return false;
    }
  }

  #fly({ text, colour, from }) {
    if (this.#flight.children.length >= MOST_AT_ONCE) return;
    const name = COLOURS.includes(colour) ? colour : COLOURS[0];
    const bullet = make("span", { className: `bullet ${name}`, textContent: String(text).slice(0, 200) });
    bullet.classList.toggle("own", from === this.#stream.client);
    this.#flight.append(bullet);
    if (calm.matches) this.#stand(bullet);
    else this.#cross(bullet);
  }

  // All fly at one speed, so that none catches up with another; one that finds no free lane waits for the next.
  #cross(bullet) {
    const stage = this.#flight.clientWidth;
    const width = bullet.offsetWidth;
    const speed = stage / CROSSING_MS;
    const wait = this.#land(bullet, (width + GAP_PX) / speed);
    const path = [{ transform: `translateX(${stage}px)` }, { transform: `translateX(${-width}px)` }];
    const flight = bullet.animate(path, { duration: (stage + width) / speed, delay: wait, fill: "both" });
    flight.finished.then(() => bullet.remove());
  }

  #stand(bullet) {
    bullet.classList.add("still");
    bullet.hidden = true;
    setTimeout(() => {
      bullet.hidden = false;
      setTimeout(() => bullet.remove(), CALM_MS);
    }, this.#land(bullet, CALM_MS));
  }

  // Take the lane that is free first, hold it for so long, and return the milliseconds until it is free.
  #land(bullet, hold) {
    const now = performance.now();
    this.#lanes.length = Math.max(1, Math.floor(this.#flight.clientHeight / LANE_PX));
    const free = Array.from(this.#lanes, (moment) => Math.max(moment ?? 0, now));
    const lane = free.indexOf(Math.min(...free));
    this.#lanes[lane] = free[lane] + hold;
    bullet.style.top = `${lane * LANE_PX}px`;
    return free[lane] - now;
  }

  #hearts(count) {
    if (calm.matches) return;
    const button = find("like");
    for (let index = 0; index < Math.min(count, MOST_HEARTS); index += 1) {
      const heart = make("span", { className: `floating ${COLOURS[1 + (index % 3)]}`, textContent: "♥" });
      heart.setAttribute("aria-hidden", "true");
      button.append(heart);
      const drift = (Math.random() - 0.5) * 70;
      const path = [
        { transform: "translate(0, 0) scale(.6)", opacity: 0 },
        { transform: `translate(${drift / 3}px, -40px) scale(1.1)`, opacity: 1, offset: 0.25 },
        { transform: `translate(${drift}px, -150px) scale(.9)`, opacity: 0 },
      ];
      const timing = { duration: 1500 + Math.random() * 600, delay: index * 60, easing: "ease-out", fill: "both" };
      heart.animate(path, timing).finished.then(() => heart.remove());
    }
  }
}
