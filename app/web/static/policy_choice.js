// The policy that the form describes: the alignment's own, with another selection or method.

const OF_A_METHOD = ["method", "rank", "energy_share", "families", "side", "strength"];

export function watchPolicy(form) {
  const fields = form.elements;
  const refresh = () => {
    const chosen = fields.policy.value;
    form.querySelector("#method-part").hidden = !["threshold", "lowest", "all"].includes(chosen);
    form.querySelector("#rank-part").hidden = !["subspace", "complement"].includes(fields.method.value);
    form.querySelector("#side-part").hidden = fields.method.value !== "complement";
  };
  form.querySelector("#policy").addEventListener("change", refresh);
  refresh();
}

// null for the alignment's default. `own` is that default, {} while it is not known. Throws an
// Error that says which field to mend.
export function policyOf(form, own) {
  const fields = form.elements;
  switch (fields.policy.value) {
    case "default":
      return null;
    case "json":
      return parsed(fields.json.value);
    case "none":
      return { ...own, selection: { mode: "none" } };
    default:
      return withMethod(form, { ...own, selection: selectionOf(fields) });
  }
}

function selectionOf(fields) {
  switch (fields.policy.value) {
    case "threshold":
      return { mode: "threshold", threshold: within(fields.threshold, 0, 1, "τ") };
    case "lowest":
      return { mode: "lowest", share: within(fields.share, 0, 100, "The share") / 100 };
    default:
      return { mode: "all" };
  }
}

function withMethod(form, policy) {
  const fields = form.elements;
  const method = fields.method.value;
  if (policy.selection.mode !== "all") delete policy.scores; // it needs the cosine
  if (!method) return policy;
  for (const field of [...OF_A_METHOD, "scores"]) delete policy[field];
  policy.method = method;
  if (["subspace", "complement"].includes(method)) policy.rank = within(fields.rank, 1, Infinity, "The number of directions");
  if (method === "complement") policy.side = fields.side.value;
  return policy;
}

function within(field, least, most, name) {
  const value = field.valueAsNumber;
  if (value >= least && value <= most) return value;
  field.focus();
  throw new Error(`${name} is ${most === Infinity ? `${least} or more` : `from ${least} to ${most}`}.`);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The policy is not JSON: ${error.message}`);
  }
}
