// Files that were dropped or picked, as the parts of a form.

const MODEL = "adapter_model.safetensors";
const CONFIG = "adapter_config.json";
const ARCHIVES = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];
const MOST = 10000; // files that are looked at in a folder

// Parts by name, and the names of files that are not sent. Throws an Error that says what to do.
export function partsOf(files) {
  const archives = files.filter((file) => ends(file, ...ARCHIVES));
  if (files.length === 1 && archives.length === 1) return { parts: { archive: files[0] }, others: [] };
  const model = theOne(files, MODEL, ".safetensors");
  const config = theOne(files, CONFIG, ".json");
  const missing = [model ? "" : MODEL, config ? "" : CONFIG].filter(Boolean);
  if (missing.length) throw new Error(`There is no ${missing.join(" and no ")}: choose both files, their folder, or one archive of them.`);
  const others = files.filter((file) => file !== model && file !== config).map((file) => file.name);
  return { parts: { adapter: model, config }, others };
}

// All files of a drop, those in folders too.
export async function filesOfDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  for (const entry of entries) await collect(entry, files);
  return files;
}

async function collect(entry, files) {
  if (files.length >= MOST) throw new Error(`There are more than ${MOST} files: drop the adapter's own folder.`);
  if (entry.isFile) {
    files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives some at a time, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const inner of some) await collect(inner, files);
  }
}

// The file of this name, or else the only one of its kind. Of several, as in checkpoints of a run, none.
function theOne(files, name, suffix) {
  const named = files.filter((file) => file.name === name);
  if (named.length > 1) throw new Error(`There are ${named.length} files ${name}: choose the folder of one adapter.`);
  const kind = files.filter((file) => ends(file, suffix));
  return named[0] ?? (kind.length === 1 ? kind[0] : undefined);
}

function ends(file, ...suffixes) {
  return suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix));
}

// The base model that a config names, as the gate reads it; undefined where it names none.
export async function baseModelOf(config) {
  try {
    const fields = JSON.parse(await config.text());
    const name = fields.base_model_name_or_path ?? fields.model;
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}

export function inWords(bytes) {
  let value = bytes;
  for (const unit of ["B", "kB", "MB"]) {
    if (value < 1000) return `${unit === "B" || value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} GB`;
}
