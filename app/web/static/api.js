// What the API answers: JSON, or a problem that says what to do.

export class Problem extends Error {
  constructor(status, document) {
    super(wordsOf(status, document));
    this.status = status;
    this.document = document;
  }
}

function wordsOf(status, { code, detail }) {
  if (code === "unauthorized") return "You are signed out.";
  if (["key_revoked", "key_expired"].includes(code)) return `You are signed out: ${detail}.`;
  return detail ?? `The gate answered ${status}: try again.`;
}

export const UNREACHABLE = "The gate cannot be reached: check the connection, and try again.";
export const TRYING_AGAIN = "The gate cannot be reached: trying again.";

export function signedOut() {
  return new Problem(401, { code: "unauthorized" });
}

export async function ask(method, path, { body, signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(UNREACHABLE);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

// Shows an error in an element with role alert; null takes it away.
export function show(place, error) {
  place.replaceChildren();
  place.hidden = error === null;
  if (error === null) return;
  place.append(line("p", error.message));
  const found = error.document ?? {};
  const listed = [...problems(found), ...findings(found)];
  if (listed.length) {
    const list = document.createElement("ul");
    list.append(...listed.map((text) => line("li", text)));
    place.append(list);
  }
  if (error.status === 401) place.append(signIn());
  if (found.code) place.append(line("p", [found.code, found.reference].filter(Boolean).join(" · "), "quiet"));
}

function problems(found) {
  return (found.problems ?? []).map(({ field, why }) => `${field}: ${why}`);
}

function findings(found) {
  return (found.findings ?? []).map(({ code, subject, action }) => `${code}: ${subject}. ${action}`);
}

function signIn() {
  const link = document.createElement("a");
  link.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Sign in again";
  if (document.getElementById("new-job")) {
    link.target = "_blank"; // what is filled in stays
    link.textContent += " (in a new tab)";
  }
  return link;
}

function line(tag, text, style) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (style) element.className = style;
  return element;
}
