// The dashboard: this machine's figures, as the worker's scheduled function sends them.

import { Chart, SPAN_S } from "./chart.js";
import { calm, find } from "./dom.js";
import { hush, number, say, t } from "./i18n.js";

export const DASHBOARD = "dashboard";
export const MACHINE = "machine";
const GB = 2 ** 30;
const FRAME_MS = 66;

// Anybody may push into this channel.
const isFigure = (value) => value === null || Number.isFinite(value);
const isSample = (data) =>
  Number.isFinite(Date.parse(data?.timestamp)) &&
  [data.cpu, data.memory, data.memory_total].every(isFigure) &&
  [data.events, data.clients].every(Number.isFinite);

export class Dashboard {
  #charts = { cpu: new Chart("cpu", 100), memory: new Chart("memory"), events: new Chart("events"), clients: new Chart("clients") };
  #sample = null;
  #ahead = 0;
  #drawn = 0;

  constructor(stream) {
    for (const [name, chart] of Object.entries(this.#charts)) {
      say(chart.label, name);
      find("charts").append(chart.element);
    }
    stream.addEventListener("event", ({ detail }) => detail.type === MACHINE && isSample(detail.data) && this.#take(detail.data));
    this.#turn();
  }

  #take(sample) {
    const moment = Date.parse(sample.timestamp);
    this.#ahead = moment - Date.now(); // the worker's clock, by which the charts go
    const { cpu, memory, events, clients } = this.#charts;
    if (sample.cpu !== null) cpu.add(moment, sample.cpu);
    if (sample.memory !== null) memory.add(moment, sample.memory / GB, sample.memory_total / GB);
    events.add(moment, sample.events);
    clients.add(moment, sample.clients);
    this.#sample = sample;
    this.show();
  }

  show() {
    if (!this.#sample) return;
    const { cpu, memory, memory_total, events, clients } = this.#sample;
    this.#figure("cpu", cpu === null ? null : number(cpu), " %");
    this.#figure("memory", memory === null ? null : number(memory / GB, 1));
    if (memory !== null) say(this.#charts.memory.unit, "memory-of", { total: number(memory_total / GB, 1) });
    this.#figure("events", number(events, events < 10 && events % 1 ? 1 : 0));
    this.#figure("clients", number(clients));
  }

  #figure(name, value, unit = "") {
    const chart = this.#charts[name];
    chart.value.textContent = value ?? "–";
    hush(chart.unit);
    if (value === null) say(chart.unit, "no-figure");
    else chart.unit.textContent = unit;
    chart.picture.setAttribute("aria-label", t("chart-label", { name: t(name), value: (value ?? "–") + unit, seconds: SPAN_S }));
  }

  #turn() {
    const pause = calm.matches ? 1000 : FRAME_MS;
    requestAnimationFrame((now) => {
      if (now - this.#drawn >= pause) {
        this.#drawn = now;
        for (const chart of Object.values(this.#charts)) chart.draw(Date.now() + this.#ahead - 500);
      }
      this.#turn();
    });
  }
}
