// One job, followed to its end; cancelling it, and trying again.

import { TRYING_AGAIN, ask, show } from "./api.js";

const POLL_SECONDS = 5; // where events cannot be had
const SILENCE_SECONDS = 4; // a browser waits 3 before it connects again
const ENDED = "ended-while-watched";

const job = document.getElementById("job");
const path = `/v1/jobs/${job.dataset.id}`;
const errors = document.getElementById("job-error");
const place = (id) => document.getElementById(id);

if (job.dataset.final === "true") arrive();
else watch();
act("cancel", () => ask("POST", `${path}/cancel`));
act("retry", async () => {
  const again = await ask("POST", `${path}/retry`);
  location.assign(`/jobs/${again.id}`);
});

// Who saw it end is led to what came of it.
function arrive() {
  if (sessionStorage.getItem(ENDED) !== job.dataset.id) return;
  sessionStorage.removeItem(ENDED);
  place("outcome").focus();
}

function end() {
  sessionStorage.setItem(ENDED, job.dataset.id);
  location.reload();
}

// Only while somebody looks: a browser opens few connections to one host.
function watch() {
  let source = null;
  let timer;
  let silence = null; // since the gate was last heard

  const heard = () => {
    if (silence === null) return;
    clearTimeout(silence);
    silence = null;
    show(errors, null);
  };
  const lost = () => {
    if (source?.readyState === EventSource.CLOSED) poll();
    else silence ??= setTimeout(() => show(errors, new Error(TRYING_AGAIN)), 1000 * SILENCE_SECONDS);
  };
  const stop = () => {
    source?.close();
    source = null;
    clearTimeout(timer);
    heard();
  };
  const follow = () => {
    stop();
    source = new EventSource(`${path}/events`);
    source.addEventListener("state", ({ data }) => showState(JSON.parse(data)));
    source.addEventListener("progress", ({ data }) => showProgress(JSON.parse(data)));
    source.addEventListener("open", heard);
    source.addEventListener("error", lost);
  };
  const poll = async () => {
    stop();
    try {
      showState(await ask("GET", path));
      show(errors, null);
    } catch (error) {
      show(errors, error);
    }
    timer = setTimeout(poll, 1000 * POLL_SECONDS);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : follow()));
  addEventListener("pagehide", stop);
  if (!document.hidden) follow();
}

function showState({ state, progress }) {
  if (!["queued", "running"].includes(state)) return end();
  if (progress) return showProgress(progress);
  if (state === "queued") mark("queued", "waits for a worker");
}

function showProgress({ stage, done, total }) {
  const counted = total > 0;
  mark(stage, counted ? `${stage}: ${done} of ${total} modules` : stage);
  const bar = place("progress");
  if (counted) {
    bar.max = total;
    bar.value = done;
  } else {
    bar.removeAttribute("value");
  }
}

function mark(stage, words) {
  place("progress-words").textContent = words;
  const stages = [...place("stages").children];
  const at = stages.findIndex((each) => each.dataset.stage === stage);
  if (at < 0 || stages[at].hasAttribute("aria-current")) return;
  stages.forEach((each, index) => {
    each.classList.toggle("done", index < at);
    each.removeAttribute("aria-current");
  });
  stages[at].setAttribute("aria-current", "step");
  place("stage-status").textContent = words;
}

function act(id, does) {
  const button = place(id);
  button?.addEventListener("click", async () => {
    show(errors, null);
    button.disabled = true;
    try {
      await does();
    } catch (error) {
      show(errors, error);
      button.disabled = false;
    }
  });
}
