// The bar that shows the connection, with its buttons.

import { find } from "./dom.js";
import { say } from "./i18n.js";

export function startConnection(stream) {
  let received = 0;
  let reconnects = 0;
  find("client").textContent = stream.client;
  find("connect").addEventListener("click", () => stream.connect());
  find("disconnect").addEventListener("click", () => stream.disconnect());
  find("reconnect").addEventListener("click", () => stream.connect());
  stream.addEventListener("event", () => (find("received").textContent = received += 1));
  stream.addEventListener("back", () => (find("reconnects").textContent = reconnects += 1));
  stream.addEventListener("state", () => show(stream));
  show(stream);
}

function show(stream) {
  const idle = stream.state === "idle";
  find("state").dataset.state = stream.state;
  say(find("state-word"), `state-${stream.state}`);
  find("edge").textContent = idle ? "–" : stream.edge;
  turn(find("connect"), idle, find("disconnect"));
  turn(find("disconnect"), !idle, find("connect"));
  turn(find("reconnect"), !idle);
}

// A button that is turned off while it has the focus hands it on, or the keyboard would be lost.
function turn(button, on, next) {
  const had = document.activeElement === button;
  button.disabled = !on;
  if (!on && had && next) {
    next.disabled = false;
    next.focus();
  }
}
