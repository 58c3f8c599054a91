// Files that were dropped or picked, as the parts of a form.

const MODEL = "adapter_model.safetensors";
const CONFIG = "adapter_config.json";
const ARCHIVES = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];
const PICKLES = [".bin", ".pt", ".pth", ".ckpt"];
const MOST = 10000; // files that are looked at in a folder
const NAMED = 5; // folders or files that are named in a sentence

// Parts by name, what they are called together, and the paths of files that are not sent. `files`
// are { file, path }. Throws an Error that says what to do.
export function partsOf(files) {
  const [first] = files;
  if (files.length === 1 && ends(first, ...ARCHIVES)) {
    return checked({ archive: first }, { name: first.file.name.replace(/(\.tar)?\.[^.]+$/, ""), others: [] });
  }
  const { model, config } = inOneFolder(files) ?? anywhere(files);
  const others = files.filter((each) => each !== model && each !== config).map(({ path }) => path);
  return checked({ adapter: model, config }, { name: folderOf(model), others });
}

export function shortList(names) {
  const more = names.length - NAMED;
  return names.slice(0, NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

// The only folder that has both files, or the one that holds all others which have: checkpoints of
// a run lie below what came of it. Undefined if none has both.
function inOneFolder(files) {
  const having = (name) => new Map(files.filter(({ file }) => file.name === name).map((each) => [folderOf(each), each]));
  const models = having(MODEL);
  const configs = having(CONFIG);
  const folders = [...models.keys()].filter((folder) => configs.has(folder));
  if (!folders.length) return undefined;
  const top = folders.find((folder) => folders.every((other) => other === folder || folder === "" || other.startsWith(`${folder}/`)));
  if (top === undefined) throw new Error(`There are ${folders.length} adapters: choose one of ${shortList(folders)}.`);
  return { model: models.get(top), config: configs.get(top) };
}

function anywhere(files) {
  const model = theOne(files, MODEL, ".safetensors");
  const config = theOne(files, CONFIG, ".json");
  const pickle = files.find((each) => ends(each, ...PICKLES));
  if (!model && pickle) throw new Error(`${pickle.file.name} (a pickle) is not taken: save with safe_serialization=True.`);
  const missing = [model ? "" : MODEL, config ? "" : CONFIG].filter(Boolean);
  if (missing.length) throw new Error(`There is no ${missing.join(" and no ")}: choose both files, their folder, or one archive of them.`);
  return { model, config };
}

function checked(parts, rest) {
  const empty = Object.values(parts).find(({ file }) => file.size === 0);
  if (empty) throw new Error(`${empty.file.name} is empty: save or copy it again.`);
  return { parts, ...rest };
}

function folderOf({ path }) {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

// Files that were picked, each with its path where a folder was.
export function filesOfPick(input) {
  return [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

// All files of a drop, those in folders too.
export async function filesOfDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const files = [];
  for (const entry of entries) await collect(entry, files);
  return files;
}

async function collect(entry, files) {
  if (files.length >= MOST) throw new Error(`There are more than ${MOST} files: drop the adapter's own folder.`);
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    files.push({ file, path: entry.fullPath.replace(/^\//, "") });
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
  const named = files.filter(({ file }) => file.name === name);
  if (named.length > 1) throw new Error(`There are ${named.length} files ${name}: choose the folder of one adapter.`);
  const kind = files.filter((file) => ends(file, suffix));
  return named[0] ?? (kind.length === 1 ? kind[0] : undefined);
}

function ends({ file }, ...suffixes) {
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
