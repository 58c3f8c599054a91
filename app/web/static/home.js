// The form that makes a job, and the list of jobs below it.

import { ask, show } from "./api.js";
import { baseModelOf, filesOfDrop, filesOfPick, inWords, partsOf, shortList } from "./adapter_files.js";
import { policyOf, watchPolicy } from "./policy_choice.js";
import { keepFresh } from "./refresh.js";
import { send } from "./upload.js";

const form = document.getElementById("new-job");
const fields = form.elements;
const errors = document.getElementById("new-job-error");
const place = (id) => document.getElementById(id);

const LONGEST_LABEL = 200;

let parts = null; // of what was chosen
let refusal = null; // why it is not taken
let baseModel; // that its config names
let called = ""; // as its folder or archive is

watchPolicy(form);
watchFiles();
form.addEventListener("change", refresh);
fields.threshold.addEventListener("input", refresh);
form.addEventListener("submit", submit);
keepFresh("jobs", (part) => (Number(part.dataset.active) ? 5 : 30));
refresh();

function refresh() {
  const fromUri = fields.from.value === "uri";
  place("files-part").hidden = fromUri;
  place("uri-part").hidden = !fromUri;
  const found = standing();
  for (const words of form.querySelectorAll("[data-for]")) words.hidden = words.dataset.for !== (found?.value ?? "");
  place("alignment-help").textContent = alignmentWords();
  place("label-help").textContent = suggested() ? `If nothing is typed: ${suggested()}` : "";
  showFloor(found);
}

function suggested() {
  return fields.from.value === "uri" ? "" : called;
}

// The gate decides; this says it beforehand, of a τ alone.
function showFloor(found) {
  const { mode, threshold } = JSON.parse(found?.dataset.floor ?? "{}");
  const typed = fields.threshold.valueAsNumber;
  const isWeaker = fields.policy.value === "threshold" && mode === "threshold" && typed < threshold;
  place("floor-warning").hidden = !isWeaker;
  place("floor-warning").textContent = isWeaker ? `Weaker than the floor of ${found.value} (τ ${threshold}): it takes a key with the scope policy:override.` : "";
}

function watchFiles() {
  const drop = place("drop");
  // What misses its place must not be opened in place of the form.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  for (const id of ["pick-files", "pick-folder"]) {
    place(id).addEventListener("change", ({ target }) => {
      take(filesOfPick(target));
      target.value = ""; // so that the same files can be picked again
    });
  }
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    try {
      await take(await filesOfDrop(event.dataTransfer));
    } catch (error) {
      show(errors, error);
    }
  });
}

async function take(files) {
  if (!files.length) return;
  show(errors, null);
  parts = refusal = null;
  baseModel = undefined;
  called = "";
  place("chosen").replaceChildren();
  try {
    const found = partsOf(files);
    parts = filesIn(found.parts);
    if (parts.config) baseModel = await baseModelOf(parts.config);
    called = [...found.name].slice(0, LONGEST_LABEL).join("");
    showChosen(found);
  } catch (error) {
    refusal = error;
    show(errors, error);
  }
  refresh();
}

function filesIn(found) {
  const files = Object.fromEntries(Object.entries(found).map(([name, { file }]) => [name, file]));
  checkSize(files);
  return files;
}

function checkSize(found) {
  const limit = Number(form.dataset.limit);
  const total = Object.values(found).reduce((sum, file) => sum + file.size, 0);
  if (total > limit) throw new Error(`These are ${inWords(total)}; ${inWords(limit)} are accepted. Save the adapter in 16 bits, or ask the operator to raise the limit.`);
}

function showChosen({ parts, others }) {
  const list = document.createElement("ul");
  for (const { file, path } of Object.values(parts)) list.append(item(`${path}, ${inWords(file.size)}`));
  if (others.length) list.append(item(`not sent: ${shortList(others)}`));
  place("chosen").replaceChildren(list);
}

function item(text) {
  const element = document.createElement("li");
  element.textContent = text;
  return element;
}

// The option of the alignment that will judge, as far as it is known here; the gate decides.
function standing() {
  const chosen = fields.alignment.selectedOptions[0];
  if (chosen.value) return chosen;
  const found = fitting();
  return found.length === 1 ? found[0] : undefined;
}

function fitting() {
  if (baseModel === undefined || fields.from.value === "uri") return [];
  const ready = [...fields.alignment.options].filter((option) => option.value && !option.disabled);
  return ready.filter((option) => JSON.parse(option.dataset.baseNames).includes(baseModel));
}

function alignmentWords() {
  if (fields.alignment.value) return "Named by you, whatever base model the adapter names.";
  if (baseModel === undefined || fields.from.value === "uri") return "The base model that the adapter's config names decides.";
  const found = fitting();
  if (found.length === 1) return `The adapter is for ${baseModel}: alignment ${found[0].value}.`;
  if (found.length) return `Several alignments are for ${baseModel}: choose one.`;
  return `No alignment is for ${baseModel}: ask the operator to register one, or choose the alignment of the same model.`;
}

async function submit(event) {
  event.preventDefault();
  show(errors, null);
  const stop = new AbortController();
  try {
    const order = wanted();
    setBusy(stop);
    const job = order.source ? await ask("POST", "/v1/jobs", { body: order, signal: stop.signal }) : await upload(order, stop.signal);
    setBusy(null);
    location.assign(`/jobs/${job.id}`);
  } catch (error) {
    setBusy(null);
    if (error.name === "AbortError") place("sending-status").textContent = "The upload was stopped.";
    else show(errors, error);
  }
}

// The order as JSON has it. Throws an Error that says what is missing.
function wanted() {
  const fromUri = fields.from.value === "uri";
  const source = fields.source.value.trim();
  if (fromUri && !source) throw missing("source", "Give the URI of the adapter.");
  if (!fromUri && !parts) throw missing("pick-files", refusal?.message ?? "Choose the adapter's files first.");
  const policy = policyOf(form, JSON.parse(standing()?.dataset.policy ?? "{}"));
  const label = fields.label.value.trim() || suggested();
  return {
    ...(fromUri && { source }),
    ...(fields.alignment.value && { alignment: fields.alignment.value }),
    ...(policy && { policy }),
    ...(label && { metadata: { label } }),
  };
}

function missing(id, words) {
  place(id).focus();
  return new Error(words);
}

function upload(order, signal) {
  const data = new FormData();
  if (order.alignment) data.append("alignment", order.alignment);
  if (order.policy) data.append("policy", JSON.stringify(order.policy));
  if (order.metadata) data.append("metadata", JSON.stringify(order.metadata));
  for (const name of ["config", "adapter", "archive"]) if (parts[name]) data.append(name, parts[name]);
  return send("/v1/jobs", data, { signal, onProgress: showSent });
}

function showSent(loaded, total) {
  place("sent").max = total;
  place("sent").value = loaded;
  place("sent-words").textContent = loaded < total ? `Sent ${inWords(loaded)} of ${inWords(total)}` : "All sent; the gate is taking it in";
}

function setBusy(stop) {
  const busy = stop !== null;
  onbeforeunload = busy ? (event) => event.preventDefault() : null;
  place("submit").disabled = busy;
  place("abort").hidden = !busy;
  place("abort").onclick = () => stop?.abort();
  place("sending").hidden = !busy;
  place("sending-status").textContent = busy ? "Sending the adapter" : "";
}
