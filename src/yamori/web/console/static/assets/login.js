// Logs in with a token: pasted, or out of the link's fragment, which a browser never sends to anybody.

import { keepKey } from "./api.js";
import { applyTheme } from "./theme.js";

const form = document.getElementById("form");
const said = document.getElementById("said");

async function logIn(token) {
  const button = form.querySelector("button");
  button.disabled = true;
  said.textContent = "";
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    const body = await answer.json();
    if (answer.ok) {
      keepKey(body.key);
      location.replace("/");
      return;
    }
    said.textContent = answer.status === 401 ? "That is not the token." : body.error.message;
  } catch {
    said.textContent = "Yamori does not answer.";
  }
  button.disabled = false;
  form.token.select();
}

form.onsubmit = (event) => {
  event.preventDefault();
  logIn(form.token.value.trim());
};

applyTheme(null);

function fromLink() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (!token) return;
  history.replaceState(null, "", "/login");
  logIn(token);
}

addEventListener("hashchange", fromLink);
fromLink();
