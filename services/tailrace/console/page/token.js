// The bearer token of an ingest that wants one (`--push-token`). The page's files hold none: whoever pushes is asked once a tab.

import { find } from "./dom.js";
import { hush, say } from "./i18n.js";

const KEY = "tailrace-token";
let asking = null;

export function authorization() {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// Return whether there is a token to try now. Pushes that are refused at the same time ask together. `refused` is the
// authorization that was sent, if any.
export function askToken(refused) {
  asking ??= ask(refused).finally(() => (asking = null));
  return asking;
}

async function ask(refused) {
  const dialog = find("token");
  if (refused) say(find("token-answer"), "token-refused");
  else hush(find("token-answer"));
  find("token-text").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const given = dialog.returnValue === "use" ? find("token-text").value.trim() : "";
  if (given) sessionStorage.setItem(KEY, given);
  else sessionStorage.removeItem(KEY);
  return Boolean(given);
}
