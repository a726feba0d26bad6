// One figure and its course over the last minute, drawn by time.

import { make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 72;
export const SPAN_S = 60;

export class Chart {
  #points = [];
  #most;

  // `most` is the top of the scale; without it the scale follows the figures.
  constructor(id, most = 0) {
    this.#most = most;
    this.label = make("h3");
    this.value = make("b", { textContent: "–" });
    this.unit = make("span", { className: "unit" });
    this.picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.area = draw("path", { class: "area" });
    this.line = draw("path", { class: "line", "vector-effect": "non-scaling-stroke" });
    this.picture.append(this.area, this.line);
    this.element = make("figure", { className: "chart", id: `chart-${id}` }, this.label, make("p", {}, this.value, this.unit), this.picture);
  }

  add(moment, value, most = this.#most) {
    const after = this.#points.findLastIndex((point) => point.moment < moment) + 1;
    this.#points.splice(after, 0, { moment, value });
    this.#most = most;
  }

  // Draw the minute that ends at a moment. Where samples are missing the line has a hole.
  draw(now) {
    this.#points = this.#points.filter(({ moment }) => moment > now - (SPAN_S + 5) * 1000);
    const top = this.#most || Math.max(5, ...this.#points.map(({ value }) => value * 1.25));
    const pieces = [];
    let last = -Infinity;
    for (const { moment, value } of this.#points) {
      if (moment - last > 3500) pieces.push([]);
      const x = WIDTH * (1 - (now - moment) / (SPAN_S * 1000));
      pieces.at(-1).push([x.toFixed(1), (HEIGHT - 2 - (HEIGHT - 6) * Math.min(value / top, 1)).toFixed(1)]);
      last = moment;
    }
    const lines = pieces.map((points) => `M${points.map((point) => point.join(" ")).join("L")}`);
    this.line.setAttribute("d", lines.join(""));
    this.area.setAttribute("d", lines.map((line, index) => `${line}V${HEIGHT}H${pieces[index][0][0]}Z`).join(""));
  }
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
