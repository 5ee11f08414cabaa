// An answer as it comes, its accepted drafted tokens in the colours of those who drafted them.

import { events } from "./stream.js";
import { by, colourOf, element, legendEntry, number, percent, rate } from "./words.js";

let underWay = null;

export function openPlayground(modelOf) {
  by("playground").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!underWay) answer(modelOf());
  });
  by("stop").addEventListener("click", () => underWay?.abort());
  by("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("playground").requestSubmit();
  });
}

function request(model) {
  return {
    model,
    messages: [{ role: "user", content: by("prompt").value }],
    max_tokens: by("most").valueAsNumber || 200,
    temperature: by("temperature").valueAsNumber || 0,
    ...(by("label").value.trim() ? { label: by("label").value.trim() } : {}),
    stream: true,
    speculation: { show: true },
    include_metrics: true,
  };
}

async function answer(model) {
  const counts = new Map();
  underWay = new AbortController();
  begin();
  const began = performance.now();
  let written = 0;
  try {
    for await (const chunk of events("/v1/chat/completions", { method: "POST", body: request(model), signal: underWay.signal })) {
      for (const token of chunk.covey?.tokens ?? []) {
        write(token, counts);
        written += 1;
      }
      const found = chunk.metrics?.speculative_decoding;
      sums(written, (performance.now() - began) / 1000, found);
    }
  } catch (error) {
    if (error.name !== "AbortError") by("playground-wrong").textContent = error.message;
  } finally {
    underWay = null;
    working(false);
  }
}

function begin() {
  by("answer").replaceChildren();
  by("answer").hidden = false;
  by("who").replaceChildren();
  by("sums").textContent = by("playground-wrong").textContent = "";
  working(true);
}

function working(on) {
  by("send").hidden = on;
  by("stop").hidden = !on;
}

function write({ text, drafters }, counts) {
  const names = drafters.length ? drafters : [""];
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const place = by("answer");
  const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
  place.append(drafters.length ? coloured(text, drafters) : text);
  if (atEnd) place.scrollTop = place.scrollHeight;
  who(counts);
}

// The first one's tint; below it a stripe of everybody who was for it.
function coloured(text, drafters) {
  const colours = drafters.map((name) => `var(${colourOf(name)})`);
  const share = 100 / colours.length;
  const stops = colours.map((colour, at) => `${colour} ${at * share}% ${(at + 1) * share}%`).join(", ");
  const made = element("span", { className: "drafted", textContent: text, title: drafters.join(", ") });
  made.dataset.drafters = drafters.join(" ");
  made.style.background = `linear-gradient(90deg, ${stops}) bottom / 100% 2px no-repeat, color-mix(in srgb, ${colours[0]} var(--tint), transparent)`;
  return made;
}

function who(counts) {
  const drafted = [...counts].filter(([name]) => name);
  const entries = drafted.map(([name, count]) => legendEntry(colourOf(name), name, element("b", { textContent: number(count) })));
  if (counts.has("")) entries.push(legendEntry("--line", "the target itself", element("b", { textContent: number(counts.get("")) })));
  by("who").replaceChildren(...entries);
}

function sums(written, seconds, found) {
  const parts = [`${number(written)} tokens in ${number(seconds, 1)} s`, `${rate(written / seconds)} a second`];
  if (found?.num_spec_steps) parts.push(`${percent(found.draft_acceptance_rate)} of drafted tokens accepted`, `mean accepted length ${number(found.mean_acceptance_length, 2)}`);
  by("sums").textContent = parts.join(" · ");
}
