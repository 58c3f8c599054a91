// Keeps a part of the page as the server has it, while somebody looks.

export function keepFresh(id, seconds) {
  let timer;

  async function refresh() {
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.ok && !response.redirected) replace(id, await response.text());
    } catch {
      // The next time may do.
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, 1000 * seconds(document.getElementById(id)));
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? plan() : refresh()));
  plan();
}

function replace(id, html) {
  const old = document.getElementById(id);
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById(id);
  if (!fresh || old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused !== null) [...fresh.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === focused)?.focus();
}
