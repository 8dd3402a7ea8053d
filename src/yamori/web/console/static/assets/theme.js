// Dark or light: as the system says, unless somebody chose.

const KEY = "yamori.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const chosen = () => localStorage.getItem(KEY);
const shown = () => chosen() ?? (dark.matches ? "dark" : "light");

export function applyTheme(button) {
  const draw = () => {
    document.documentElement.dataset.theme = shown();
    if (button) button.textContent = shown() === "dark" ? "Light" : "Dark";
  };
  dark.addEventListener("change", draw);
  if (button) {
    button.title = "Change between dark and light";
    button.onclick = () => {
      localStorage.setItem(KEY, shown() === "dark" ? "light" : "dark");
      draw();
    };
  }
  draw();
}
