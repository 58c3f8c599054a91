// Another threshold, tried on the scores of a finished job. The gate chooses; this shows it.

import { ask, show } from "./api.js";

const PAUSE = 150; // milliseconds that the slider rests before the gate is asked
const LONGEST_LABEL = 1000; // in characters

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
const RANGE = "τ is from 0 to 1.";

let asked = null; // the question that is under way
let timer;
let answer = null;

slider.addEventListener("input", () => {
  number.value = slider.value;
  choose();
});
number.addEventListener("input", choose);
place("tau-reset").addEventListener("click", reset);
apply.addEventListener("click", post);
addEventListener("beforeprint", reset); // what is printed is what the job did
addEventListener("pageshow", ({ persisted }) => persisted && reset()); // a page come back to
reset();

// What stands in the number's field is what is asked, to its last digit.
function choose() {
  forget();
  if (number.value === "" || !number.checkValidity()) {
    restore();
    number.setAttribute("aria-invalid", "true");
    show(errors, new Error(RANGE));
    return;
  }
  part.classList.add("trying"); // so that it stays beside what it changes
  number.removeAttribute("aria-invalid");
  slider.value = number.value;
  const threshold = number.valueAsNumber;
  timer = setTimeout(async () => (await preview(threshold)) && showMarks(threshold), PAUSE);
}

function forget() {
  clearTimeout(timer);
  asked?.abort();
  asked = null;
  answer = null;
  apply.disabled = true;
}

// Whether there is an answer, and no later question.
async function preview(threshold) {
  const question = new AbortController();
  asked = question;
  try {
    const found = await ask("POST", `/v1/jobs/${job}/preview`, {
      body: { selection: { ...selection, threshold } },
      signal: question.signal,
    });
    if (asked !== question) return false;
    answer = found;
    showAnswer();
    return true;
  } catch (error) {
    if (asked === question && error.name !== "AbortError") show(errors, error);
    return false;
  }
}

function showAnswer() {
  show(errors, null);
  const { summary, below_floor: weaker } = answer;
  const left = summary.retained === null ? "" : `, ${(100 * summary.retained).toFixed(1)}% of the norm left`;
  place("tau-result").textContent = `${part.dataset.projected} → ${summary.projected} of ${summary.modules} projected${left}`;
  showFloor(weaker);
  apply.disabled = weaker.length > 0 && !mayGoBelow;
}

function showMarks(threshold) {
  const { modules } = answer;
  marked.forEach((element, index) => {
    const module = modules[Number(element.dataset.i)];
    element.classList.toggle("projected", module.projected);
    element.classList.toggle("borderline", module.borderline);
    const outcome = element.querySelector(".outcome");
    if (outcome) outcome.textContent = outcomeWords(module, before[index].outcome);
  });
  note(`Marks are as τ ${threshold} would choose; the rest is as the job did.`);
}

// Where the report begins, and beside the histogram, which has no marks.
function note(words) {
  for (const old of document.querySelectorAll("#report .trial-note")) old.remove();
  if (words === null) return;
  for (const where of document.querySelectorAll("#report > .report, #report .distribution > figure")) {
    const line = document.createElement("p");
    line.className = "warning trial-note";
    line.textContent = words;
    where.before(line);
  }
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
  forget();
  restore();
  slider.value = number.value = selection.threshold;
  number.removeAttribute("aria-invalid");
  place("tau-result").textContent = chosenSo ? "As the job chose." : "";
  if (!chosenSo) preview(selection.threshold); // so that it can be applied as it stands
}

// The report as the job left it.
function restore() {
  marked.forEach((element, index) => {
    element.className = before[index].className;
    const outcome = element.querySelector(".outcome");
    if (outcome) outcome.textContent = before[index].outcome;
  });
  note(null);
  place("tau-result").textContent = "";
  place("tau-floor").hidden = true;
  show(errors, null);
}

async function post() {
  if (!answer) return;
  apply.disabled = true;
  show(errors, null);
  try {
    const body = { source: `job:${job}`, alignment, metadata: metadataOf(answer.policy), policy: answer.policy };
    const made = await ask("POST", "/v1/jobs", { body });
    location.assign(`/jobs/${made.id}`);
  } catch (error) {
    show(errors, error);
    apply.disabled = false;
  }
}

// The job's own; a label tells by which τ the new one chooses.
function metadataOf({ selection: { threshold } }) {
  const metadata = JSON.parse(part.dataset.metadata);
  if (!metadata.label) return metadata;
  const ending = `, τ ${threshold}`;
  const label = metadata.label.replace(/, τ [\d.]+$/, "");
  return { ...metadata, label: [...label].slice(0, LONGEST_LABEL).join("") + ending };
}
