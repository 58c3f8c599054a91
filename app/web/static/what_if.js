// Another threshold, tried on the scores of a finished job. The gate chooses; this shows it.

import { ask, show } from "./api.js";

const PAUSE = 150; // milliseconds that the slider rests before the gate is asked

const part = document.getElementById("what-if");
const { job, alignment, reasons: reasonWords } = part.dataset;
const reasons = JSON.parse(reasonWords);
const selection = JSON.parse(part.dataset.selection);
const chosenSo = part.dataset.chosenSo === "true";
const mayGoBelow = part.dataset.mayGoBelow === "true";
const place = (id) => document.getElementById(id);
const slider = place("tau");
const number = place("tau-number");
const apply = place("tau-apply");
const errors = place("tau-error");

const marked = [...document.querySelectorAll("#report [data-i]")];
const before = marked.map((element) => ({
  className: element.className,
  outcome: element.querySelector(".outcome")?.textContent,
}));
const REFACTORED = "refactored"; // whichever modules are chosen

let asked = null; // the question that is under way
let timer;
let answer = null;

slider.addEventListener("input", () => choose(slider.value));
number.addEventListener("input", () => number.checkValidity() && number.value !== "" && choose(number.value));
place("tau-reset").addEventListener("click", reset);
apply.addEventListener("click", post);
addEventListener("beforeprint", reset); // what is printed is what the job did

function choose(value) {
  part.classList.add("trying"); // so that it stays beside what it changes
  slider.value = value;
  if (document.activeElement !== number) number.value = value;
  answer = null;
  apply.disabled = true;
  clearTimeout(timer);
  timer = setTimeout(() => preview(Number(value)), PAUSE);
}

async function preview(threshold) {
  asked?.abort();
  const question = new AbortController();
  asked = question;
  try {
    const found = await ask("POST", `/v1/jobs/${job}/preview`, {
      body: { selection: { ...selection, threshold } },
      signal: question.signal,
    });
    if (asked !== question) return;
    answer = found;
    showAnswer();
  } catch (error) {
    if (asked === question && error.name !== "AbortError") show(errors, error);
  }
}

function showAnswer() {
  show(errors, null);
  const { modules, summary, below_floor: weaker } = answer;
  marked.forEach((element, index) => {
    const module = modules[Number(element.dataset.i)];
    element.classList.toggle("projected", module.projected);
    element.classList.toggle("borderline", module.borderline);
    const outcome = element.querySelector(".outcome");
    if (outcome) outcome.textContent = outcomeWords(module, before[index].outcome);
  });
  const left = summary.retained === null ? "" : `, ${(100 * summary.retained).toFixed(1)}% of the norm left`;
  place("tau-result").textContent = `${part.dataset.projected} → ${summary.projected} of ${summary.modules} projected${left}`;
  showFloor(weaker);
  apply.disabled = weaker.length > 0 && !mayGoBelow;
}

function outcomeWords({ projected, borderline, reason }, was) {
  return [projected ? "projected" : "kept", reasons[reason], borderline && "borderline", was.includes(REFACTORED) && REFACTORED].filter(Boolean).join(", ");
}

function showFloor(weaker) {
  const floor = place("tau-floor");
  floor.hidden = weaker.length === 0;
  const means = mayGoBelow ? "Your key has the scope policy:override, so it may be applied." : "To apply it takes a key with the scope policy:override.";
  floor.textContent = `Weaker than the floor of ${alignment} (${weaker.join(", ")}). ${means}`;
}

function reset() {
  part.classList.remove("trying");
  clearTimeout(timer);
  asked?.abort();
  asked = null;
  answer = null;
  slider.value = number.value = selection.threshold;
  marked.forEach((element, index) => {
    element.className = before[index].className;
    const outcome = element.querySelector(".outcome");
    if (outcome) outcome.textContent = before[index].outcome;
  });
  place("tau-result").textContent = chosenSo ? "As the job chose." : "";
  place("tau-floor").hidden = true;
  show(errors, null);
  apply.disabled = true;
}

async function post() {
  if (!answer) return;
  apply.disabled = true;
  show(errors, null);
  try {
    const metadata = JSON.parse(part.dataset.metadata);
    const body = { source: `job:${job}`, alignment, metadata, policy: answer.policy };
    const made = await ask("POST", "/v1/jobs", { body });
    location.assign(`/jobs/${made.id}`);
  } catch (error) {
    show(errors, error);
    apply.disabled = false;
  }
}
