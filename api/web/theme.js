/** Light, dark, or as the system says; remembered by this browser. */

const PLACE = "tenshot-theme";
const ORDER = ["system", "light", "dark"];

/** What is chosen now. */
export function theme() {
  const kept = localStorage.getItem(PLACE);
  return ORDER.includes(kept) ? kept : "system";
}

/** Applies what was chosen. */
export function applyTheme() {
  const chosen = theme();
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}

/** The next one. */
export function nextTheme() {
  localStorage.setItem(PLACE, ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length]);
  applyTheme();
  return theme();
}
