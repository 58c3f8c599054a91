// Keeps a part of the page as the server has it, while somebody looks.

import { Problem, TRYING_AGAIN, show, signedOut } from "./api.js";

const AGAIN_SECONDS = 5; // while it does not answer

export function keepFresh(id, seconds) {
  const errors = document.getElementById(`${id}-error`);
  let timer;
  let said = null;

  async function refresh() {
    try {
      replace(id, await newest());
      say(null);
    } catch (error) {
      say(error);
    }
    plan();
  }

  // Once, however often it fails: it is read out.
  function say(error) {
    if (said?.message !== error?.message) show(errors, error);
    said = error;
  }

  function plan() {
    clearTimeout(timer);
    const wait = said ? AGAIN_SECONDS : seconds(document.getElementById(id));
    if (!document.hidden) timer = setTimeout(refresh, 1000 * wait);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? plan() : refresh()));
  plan();
}

// The page as the server has it. Throws an Error that says why it cannot be had.
async function newest() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => {
    throw new Error(TRYING_AGAIN);
  });
  if (response.redirected) throw signedOut();
  if (!response.ok) throw new Problem(response.status, {});
  return response.text();
}

function replace(id, html) {
  const old = document.getElementById(id);
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById(id);
  if (!fresh || old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused !== null) [...fresh.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === focused)?.focus();
}
