// Light, dark, or as the system has it.

const KEY = "tailrace-theme";

export function startTheme() {
  const stored = localStorage.getItem(KEY) ?? "auto";
  for (const input of document.querySelectorAll("input[name=theme]")) {
    input.checked = input.value === stored;
    input.addEventListener("change", () => {
      localStorage.setItem(KEY, input.value);
      document.documentElement.dataset.theme = input.value;
    });
  }
  document.documentElement.dataset.theme = stored;
}
