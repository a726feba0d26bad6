// The page's language: said once by each element (`data-t`), so that a switch says everything anew.

import { words } from "./words.js";

const KEY = "tailrace-language";
let language = "en";

export function t(key, values = {}) {
  const text = words[language][key] ?? words.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// Let an element say something now and after every switch. A value that is itself `{t: key, ...}` is translated too.
export function say(element, key, values = {}) {
  element.dataset.t = key;
  element.dataset.values = JSON.stringify(values);
  element.textContent = t(key, translated(values));
  return element;
}

export function hush(element) {
  delete element.dataset.t;
  element.textContent = "";
}

export function clock(moment) {
  return new Date(moment).toLocaleTimeString(locale(), { hour12: false });
}

export function day(moment) {
  const form = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
  return new Date(moment).toLocaleString(locale(), form);
}

export function number(value, digits = 0) {
  return value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function span(seconds) {
  const units = language === "zh" ? [" 小时 ", " 分 ", " 秒"] : [" h ", " min ", " s"];
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return parts.map((part, index) => (part || index === 2 ? part + units[index] : "")).join("");
}

export function startLanguage(changed) {
  const stored = localStorage.getItem(KEY);
  const asked = navigator.languages.find((each) => /^(zh|en)\b/i.test(each)) ?? "en";
  choose(stored in words ? stored : asked.slice(0, 2).toLowerCase());
  for (const input of document.querySelectorAll("input[name=language]")) {
    input.checked = input.value === language;
    input.addEventListener("change", () => {
      localStorage.setItem(KEY, input.value);
      choose(input.value);
      changed();
    });
  }
}

function locale() {
  return language === "zh" ? "zh-CN" : "en-GB";
}

function choose(name) {
  language = name;
  document.documentElement.lang = name === "zh" ? "zh-Hans" : "en";
  document.title = t("page-title");
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t, translated(JSON.parse(element.dataset.values ?? "{}")));
  }
  for (const element of document.querySelectorAll("[data-t-placeholder]")) element.placeholder = t(element.dataset.tPlaceholder);
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
}

function translated(values) {
  const filled = (value) => {
    if (value?.t) return t(value.t, value);
    return value?.moment ? day(value.moment) : value;
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, filled(value)]));
}
