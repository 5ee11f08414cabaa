// Numbers as people read them, and elements without markup: text from elsewhere is only ever text.

export const DASH = "–";

export const number = (value, digits = 0) =>
  value == null || !Number.isFinite(value) ? DASH : value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const rate = (value) => number(value, value != null && value < 100 ? 1 : 0);
export const times = (value) => (value == null ? DASH : `${number(value, 2)}×`);
export const percent = (value) => (value == null ? DASH : `${number(value * 100)} %`);

export function duration(seconds) {
  if (seconds < 60) return `${number(seconds)} s`;
  return seconds < 3600 ? `${number(seconds / 60)} min` : `${number(seconds / 3600, 1)} h`;
}

export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

export const by = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Drafters keep the colour that they first got, in charts and texts alike.
const seen = new Map();
const COLOURS = 8;

export function colourOf(name) {
  if (!seen.has(name)) seen.set(name, seen.size % COLOURS);
  return `--d${seen.get(name)}`;
}

export const paint = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();

export function legendEntry(variable, ...children) {
  const swatch = element("i");
  swatch.style.background = `var(${variable})`;
  return element("li", {}, swatch, ...children);
}
