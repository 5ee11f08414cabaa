// Puts the page together: follows /live, and shows each snapshot.

import { Admin } from "./admin.js";
import { LineChart } from "./charts.js";
import { History } from "./figures.js";
import { openPlayground } from "./playground.js";
import { events, key } from "./stream.js";
import { showAlerts, showLabels, showLengths, showRequests, showTiles } from "./tables.js";
import { by, colourOf, element, number, percent, rate } from "./words.js";

const AGAIN = 2000;
const history = new History();
const charts = {
  rate: new LineChart(by("chart-rate"), { format: rate, ticks: (value) => number(value) }),
  acceptance: new LineChart(by("chart-acceptance"), { format: percent, top: 1 }),
  members: new LineChart(by("chart-members"), { format: percent, top: 1 }),
  weights: new LineChart(by("chart-weights"), { format: (value) => number(value, 2), ticks: (value) => number(value, 1) }),
  queue: new LineChart(by("chart-queue"), { format: (value) => number(value), whole: true }),
};
const picked = () => by("model").value;
const admin = new Admin(picked);
let drawing = false;
let following = new AbortController();

function show() {
  drawing = false;
  const { last } = history;
  pick(Object.keys(last.models));
  const figures = history.of(picked());
  state(last.why_not_ready ? "broken" : "ready", last.why_not_ready ?? "ready");
  showAlerts(last.alerts);
  showTiles(figures);
  showLengths(figures.lengths());
  if (last.requests) {
    const several = Object.keys(last.models).length > 1;
    showRequests(last.requests, last.num_requests, several);
    showLabels(last.labels, several);
  }
  draw(figures);
}

function draw(figures) {
  const line = (name, values, more) => ({ name, colour: colourOf(name), values, ...more });
  const { times } = figures;
  charts.rate.show(times, [
    { name: "covey", colour: "--accent", values: figures.rates(), filled: true },
    { name: "plain, estimated", colour: "--plain", values: figures.plainRates(), dashed: true },
  ]);
  charts.acceptance.show(times, figures.drafters().map((name) => line(name, figures.acceptanceOf(name))));
  const members = figures.members();
  by("members-card").hidden = by("weights-card").hidden = !members.length;
  if (members.length) {
    charts.members.show(times, members.map((name) => line(name, figures.recordsOf(name))));
    charts.weights.show(times, members.map((name) => line(name, figures.weightsOf(name))));
  }
  charts.queue.show(times, [
    { name: "running", colour: "--accent", values: figures.seconds.map((each) => each.running) },
    { name: "waiting", colour: "--d1", values: figures.seconds.map((each) => each.waiting) },
    { name: "cache", colour: "--plain", values: figures.seconds.map((each) => each.cache), dashed: true, scale: "share", format: percent },
  ]);
}

function pick(models) {
  const select = by("model");
  if (select.options.length !== models.length) select.replaceChildren(...models.map((name) => element("option", { value: name, textContent: name })));
  by("pick").hidden = models.length < 2;
  by("only").textContent = models.length < 2 ? models[0] : "";
}

function state(kind, said) {
  by("state").dataset.state = kind;
  by("state").textContent = said;
  by("state").title = said;
}

async function follow() {
  following = new AbortController();
  for await (const snapshot of events("/live", { signal: following.signal })) {
    askForKey(false);
    history.push(snapshot);
    if (!drawing) {
      drawing = true;
      requestAnimationFrame(show);
    }
  }
}

function askForKey(wanted, why = "") {
  by("ask-key").hidden = !wanted;
  document.querySelector("main").toggleAttribute("data-locked", wanted);
  by("key-wrong").textContent = why;
  by("change-key").hidden = wanted || !key.get();
}

async function keepFollowing() {
  for (;;) {
    try {
      await follow();
      state("waiting", "reconnecting");
    } catch (error) {
      if (error.status === 401) {
        state("broken", "no key");
        askForKey(true, key.get() ? error.message : "");
        return;
      }
      state("broken", error.status ? error.message : "not reachable");
    }
    await new Promise((done) => setTimeout(done, AGAIN));
  }
}

by("ask-key").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(by("key").value.trim());
  by("key").value = "";
  keepFollowing();
});
by("change-key").addEventListener("click", () => {
  key.set("");
  following.abort();
  location.reload();
});
by("model").addEventListener("change", () => {
  show();
  admin.load();
});
openPlayground(picked);
// Where a key is wanted, there is no use in asking without one.
if (key.get() || document.body.dataset.key === "free") keepFollowing();
else {
  state("waiting", "no key");
  askForKey(true);
}
