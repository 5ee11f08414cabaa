// What an admin may change. The key is held here while the page is open, and nowhere else.

import { ask } from "./stream.js";
import { by, element } from "./words.js";

const PATH = "/admin/speculation";
let bearer = "";

export class Admin {
  constructor(modelOf) {
    this.modelOf = modelOf;
    by("admin-open").addEventListener("submit", (event) => {
      event.preventDefault();
      bearer = by("admin-key").value.trim();
      this.load();
    });
    by("admin-change").addEventListener("submit", (event) => {
      event.preventDefault();
      this.apply();
    });
  }

  // Another model was picked.
  async load() {
    if (!bearer) return;
    await this.tried(async () => {
      const { models } = await (await ask(PATH, { bearer })).json();
      by("admin-open").hidden = true;
      by("admin-key").value = "";
      this.show(models[this.modelOf()]);
    });
  }

  async apply() {
    await this.tried(async () => {
      const body = { model: this.modelOf(), ...this.reads.reduce((all, read) => ({ ...all, ...read(all) }), {}) };
      const after = await (await ask(PATH, { method: "PATCH", body, bearer })).json();
      this.show(after);
      by("admin-good").textContent = "In effect from the next round on.";
    });
  }

  async tried(work) {
    by("admin-wrong").textContent = by("admin-good").textContent = "";
    try {
      await work();
    } catch (error) {
      if (error.status === 401) {
        bearer = "";
        by("admin-open").hidden = false;
        by("admin-change").hidden = true;
      }
      by("admin-wrong").textContent = error.message;
    }
  }

  show(now) {
    this.reads = [];
    const fields = [this.length(now)];
    if (now.members) fields.push(this.members(now.members));
    if (now.min_survival !== null) fields.push(this.floor(now.min_survival));
    for (const [name, values] of Object.entries(now.thresholds ?? {})) fields.push(this.thresholds(name, values));
    by("admin-fields").replaceChildren(...fields);
    by("admin-change").hidden = false;
  }

  length(now) {
    const input = numeric(now.num_speculative_tokens, now.most_speculative_tokens, 1);
    input.id = "admin-length";
    this.reads.push(() => ({ num_speculative_tokens: input.valueAsNumber }));
    return field("Longest draft", `tokens, 0 to ${now.most_speculative_tokens}; 0 is plain decoding`, input);
  }

  members(members) {
    const boxes = Object.entries(members).map(([name, on]) => element("input", { type: "checkbox", name: "member", value: name, checked: on }));
    this.reads.push(() => ({ members: boxes.filter((box) => box.checked).map((box) => box.value) }));
    return field("Members", "who takes part in the vote", ...boxes.map((box) => element("label", {}, box, box.value)));
  }

  floor(value) {
    const input = numeric(value, 0.99, 0.01);
    this.reads.push(() => ({ min_survival: input.valueAsNumber }));
    return field("Least survival", "drafts end before they are less likely to be right", input);
  }

  thresholds(name, values) {
    const inputs = values.map((value) => numeric(value, 1, 0.001));
    this.reads.push((all) => ({ thresholds: { ...all.thresholds, [name]: inputs.map((input) => input.valueAsNumber) } }));
    return field(`Thresholds of ${name}`, "how sure each exit must be, else the next is asked", ...inputs);
  }
}

const numeric = (value, max, step) => element("input", { type: "number", min: 0, max, step, required: true, value });

function field(name, hint, ...inputs) {
  const title = element("span", {}, name, element("small", { textContent: hint }));
  return element("div", { className: "field" }, title, element("span", { className: "choices" }, ...inputs));
}
