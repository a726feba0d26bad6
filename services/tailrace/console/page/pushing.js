// The forms that push, and the receipts that answer them.

import { find, uuid } from "./dom.js";
import { hush, number, say } from "./i18n.js";

const TYPE = /^[^\r\n\0]+$/;

export class Pushing {
  #stream;
  #ingest;

  constructor(stream, ingest) {
    this.#stream = stream;
    this.#ingest = ingest;
    find("push").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    for (const input of document.querySelectorAll("input[name=target]")) input.addEventListener("change", () => this.#aim(input.value));
    find("push-to").addEventListener("input", () => (target("other").checked = true));
    find("try-ghost").addEventListener("click", () => this.#try(`client:${uuid()}`, "message", { text: "boo" }));
    find("try-bad").addEventListener("click", () => this.#try("all", "connect", { text: "this name is the edge's own" }));
    find("try-empty").addEventListener("click", () => this.#tryEmpty());
    this.#aim("all");
  }

  #aim(choice) {
    if (choice === "other") {
      find("push-to").value = "room:lobby";
      find("push-to").select();
      return;
    }
    find("push-to").value = choice === "all" ? "all" : `client:${this.#stream.client}`;
  }

  #try(to, event, data) {
    target(to === "all" ? "all" : "other").checked = true;
    find("push-to").value = to;
    find("push-event").value = event;
    find("push-data").value = JSON.stringify(data);
    return this.#send();
  }

  async #tryEmpty() {
    this.#stream.disconnect();
    await new Promise((resolve) => setTimeout(resolve, 300)); // until the edge has told the registry
    await this.#try("all", "message", { text: "is anybody there?" });
    this.#stream.connect(); // and it comes all the same
  }

  async #send() {
    let data;
    try {
      data = JSON.parse(find("push-data").value);
    } catch (error) {
      this.#show({ status: "", ok: false, body: null, key: "not-json", values: { message: error.message } });
      return;
    }
    const event = find("push-event").value;
    if (TYPE.test(event)) this.#stream.listen(event);
    const { status, body, ms } = await this.#ingest.push({ to: find("push-to").value, event, data });
    this.#show({ status, body, ms, ok: status === 200 || status === 202, ...meaning(status, body) });
  }

  #show({ status, body, ms, ok, key, values = {} }) {
    find("receipt").hidden = false;
    find("receipt").dataset.kind = !ok ? "error" : body.status === "success" ? "success" : "info";
    find("receipt-status").textContent = status || "";
    say(find("receipt-words"), key, values);
    hush(find("receipt-body"));
    find("receipt-body").hidden = body === null;
    if (body !== null) find("receipt-body").textContent = JSON.stringify(body, null, 2);
    if (ms) find("receipt-status").title = `${number(ms)} ms`;
  }
}

function meaning(status, body) {
  if (status === 0) return { key: "receipt-away" };
  if (status === 404) return { key: "receipt-no-client" };
  if (status === 202) return { key: "receipt-accepted" };
  if (status === 200) return { key: body.status === "info" ? "receipt-info" : "receipt-success", values: { recipients: body.recipients } };
  return { key: "receipt-error", values: { message: body.message } };
}

function target(value) {
  return document.querySelector(`input[name=target][value=${value}]`);
}
