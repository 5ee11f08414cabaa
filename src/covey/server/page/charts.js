// Lines over the last minutes, by uPlot, in the page's own colours; what is under the pointer is told in the legend.

/* global uPlot */
import { clock, element, legendEntry, paint } from "./words.js";

const HEIGHT = 180;
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const SHORTEST = 60;

export class LineChart {
  // format: how a value is written. top: the highest value of the scale; without one it follows the data. whole: values are counts.
  constructor(place, { format, ticks = format, top, whole = false }) {
    Object.assign(this, { format, ticks, top, whole });
    this.legend = element("ul", { className: "legend" });
    this.canvas = element("div");
    place.append(this.legend, this.canvas);
    new ResizeObserver(() => this.plot?.setSize({ width: this.width, height: HEIGHT })).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  get width() {
    return Math.max(120, this.canvas.clientWidth);
  }

  // series: [{name, colour, values, dashed, filled, scale}], colour a custom property's name.
  show(times, series) {
    this.data = [times, ...series.map((each) => each.values)];
    const form = series.map((each) => each.name).join("\n");
    this.series = series;
    if (form !== this.form) {
      this.form = form;
      this.rebuild();
    } else {
      this.plot.setData(this.data);
    }
    this.tell(this.plot?.cursor.idx ?? null);
  }

  rebuild() {
    this.plot?.destroy();
    this.values = this.series.map(() => element("b"));
    this.legend.replaceChildren(...this.series.map((each, at) => legendEntry(each.colour, each.name, this.values[at])));
    this.plot = new uPlot(this.options(), this.data, this.canvas);
  }

  tell(at) {
    const lines = this.data.slice(1);
    lines.forEach((values, line) => {
      this.values[line].textContent = (this.series[line].format ?? this.format)(values[at ?? values.length - 1]);
    });
  }

  options() {
    const axis = { stroke: paint("--faint"), grid: { stroke: paint("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const scaled = this.series.some((each) => each.scale);
    return {
      width: this.width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
      scales: {
        x: { range: (_, low, high) => [Math.min(low, high - SHORTEST), high] },
        y: { range: (_, low, high) => [0, this.top ?? Math.max(1, high * 1.08)] },
        share: { range: () => [0, 1] },
      },
      axes: [
        { ...axis, size: 26, gap: 6, space: 74, values: (_, splits) => splits.map(clock), grid: { show: false } },
        { ...axis, size: 48, space: 34, values: (_, splits) => splits.map(this.ticks), ...(this.whole ? { incrs: COUNTS } : {}) },
        ...(scaled ? [{ ...axis, scale: "share", side: 1, size: 44, space: 36, grid: { show: false }, values: (_, splits) => splits.map((value) => `${Math.round(value * 100)} %`) }] : []),
      ],
      series: [{}, ...this.series.map((each) => this.line(each))],
    };
  }

  line({ name, colour, dashed, filled, scale }) {
    const stroke = paint(colour);
    return {
      label: name,
      scale: scale ?? "y",
      stroke,
      width: dashed ? 1.5 : 2,
      dash: dashed ? [5, 4] : undefined,
      fill: filled ? `${stroke}22` : undefined,
      points: { show: false },
      paths: uPlot.paths.linear(),
    };
  }
}
