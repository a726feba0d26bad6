// The bar that shows the connection, with its buttons.
//
// An open stream doesn't prove that events arrive: Redis or the worker may stand still behind the edge. The dashboard's
// function sends an event every second. Once one has arrived, its absence is shown.

import { find } from "./dom.js";
import { say } from "./i18n.js";

const QUIET_MS = 5000;
const CHECK_MS = 1000;

// `tick` is the type of the event that arrives every second.
export function startConnection(stream, tick) {
  let received = 0;
  let reconnects = 0;
  let ticked = 0;
  const quiet = () => stream.state === "open" && ticked > 0 && Date.now() - ticked > QUIET_MS;
  const showNow = () => show(stream, quiet());
  find("client").textContent = stream.client;
  find("connect").addEventListener("click", () => stream.connect());
  find("disconnect").addEventListener("click", () => stream.disconnect());
  find("reconnect").addEventListener("click", () => stream.connect());
  stream.addEventListener("event", ({ detail }) => {
    find("received").textContent = received += 1;
    if (detail.type === tick) ticked = Date.now();
  });
  stream.addEventListener("back", () => (find("reconnects").textContent = reconnects += 1));
  stream.addEventListener("state", () => {
    if (ticked) ticked = Date.now(); // a stream that has just opened gets its time, too
    showNow();
  });
  setInterval(() => quiet() !== (find("state").dataset.state === "quiet") && showNow(), CHECK_MS);
  showNow();
}

function show(stream, quiet) {
  const idle = stream.state === "idle";
  const state = quiet ? "quiet" : stream.state;
  find("state").dataset.state = state;
  say(find("state-word"), `state-${state}`);
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
