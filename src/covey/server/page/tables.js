// What is told in words and rows: figures of now, alerts, requests, labels, and how often each draft length was chosen.

import { by, clock, DASH, duration, element, number, percent, rate, times } from "./words.js";

export function showTiles(figures) {
  const { last } = figures;
  const gained = figures.speedup();
  const level = last.level;
  const put = (id, text) => (by(id).textContent = text);
  put("rate", rate(figures.rate()));
  put("rate-note", "of all requests together");
  put("speedup", times(gained));
  put("speedup-note", gained == null ? estimateOf(figures) : "over plain, estimated");
  put("acceptance", percent(figures.acceptance()));
  put("acceptance-note", level == null ? "of drafted tokens" : `${percent(level)} in the long run`);
  put("length", number(figures.meanLength(), 1));
  put("length-note", "tokens on average");
  put("running", number(last.running));
  put("running-note", last.waiting ? `${number(last.waiting)} waiting, ${duration(last.queue_seconds)}` : "none waiting");
  put("cache", percent(last.cache));
  by("cache-meter").style.width = `${last.cache * 100}%`;
}

const estimateOf = (figures) => (figures.minute.some((each) => each.plain_seconds == null) ? "no estimate here" : "nothing to compare yet");

export function showAlerts(alerts) {
  by("alerts").replaceChildren(
    ...alerts.map((alert) =>
      element(
        "div",
        { className: "alert" },
        element("strong", { textContent: alert.rule }),
        element("span", { textContent: (alert.model ? `${alert.model}: ` : "") + alert.message }),
        element("time", { textContent: `since ${clock(alert.since)}` }),
      ),
    ),
  );
}

export function showLengths(counts) {
  const total = counts.reduce((all, [, count]) => all + count, 0);
  const place = by("lengths");
  if (!total) return place.replaceChildren(element("div", { className: "empty", textContent: "no rounds in the last minute" }));
  const most = Math.max(...counts.map(([, count]) => count));
  place.replaceChildren(
    ...counts.map(([length, count]) => {
      const bar = element("i");
      bar.style.height = `${(count / most) * 78}%`;
      const share = count ? percent(count / total) : "";
      return element("div", { className: length ? "" : "plain", title: `${number(count)} rounds` }, share, bar, element("b", { textContent: length }));
    }),
  );
}

// several: whether there is more than one model to tell apart.
export function showRequests(requests, count, several) {
  const rows = requests.map((each) => [
    ...(several ? [each.model] : []),
    each.label || DASH,
    each.state,
    duration(each.seconds),
    `${number(each.prompt_tokens)} + ${number(each.completion_tokens)}`,
    percent(each.acceptance),
  ]);
  const more = count > requests.length ? `and ${number(count - requests.length)} more` : "";
  const titles = [...(several ? ["Model"] : []), "Label", "State", "#For", "#Tokens", "#Accepted"];
  table(by("requests"), titles, rows, "None of this key’s requests is on its way.", more);
}

export function showLabels(labels, several) {
  const rows = labels.map((each) => [each.label || "none", ...(several ? [each.model] : []), percent(each.acceptance), number(each.drafted)]);
  table(by("labels"), ["Label", ...(several ? ["Model"] : []), "#Accepted", "#Drafted lately"], rows, "Nothing was drafted for this key yet.");
}

// Titles that begin with # are of numbers.
function table(place, titles, rows, otherwise, more = "") {
  if (!rows.length) return place.replaceChildren(element("p", { className: "note", textContent: otherwise }));
  const kind = (at) => (titles[at].startsWith("#") ? "number" : "");
  const head = element("tr", {}, ...titles.map((title, at) => element("th", { scope: "col", className: kind(at), textContent: title.replace("#", "") })));
  const body = rows.map((row) => element("tr", {}, ...row.map((text, at) => element("td", { className: kind(at), textContent: text }))));
  place.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)), more);
}
