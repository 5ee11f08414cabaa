// From snapshots to what is drawn: rates over a few trailing seconds, since one second of one request says little.

const KEPT = 300;
const FEW = 5;
const SOME = 15;
const MINUTE = 60;

export class History {
  constructor() {
    this.snapshots = [];
  }

  push(snapshot) {
    // After a reconnection the last minutes come again.
    if (this.snapshots.length && snapshot.time <= this.snapshots.at(-1).time) return this.amend(snapshot);
    this.snapshots.push(snapshot);
    if (this.snapshots.length > KEPT) this.snapshots.shift();
  }

  amend(snapshot) {
    const at = this.snapshots.findIndex((each) => each.time === snapshot.time);
    if (at >= 0) this.snapshots[at] = { ...this.snapshots[at], ...snapshot };
  }

  get last() {
    return this.snapshots.at(-1);
  }

  of(model) {
    return new Figures(this.snapshots.filter((each) => model in each.models).map((each) => ({ time: each.time, ...each.models[model] })));
  }
}

const sum = (seconds, what) => seconds.reduce((total, each) => total + (what(each) ?? 0), 0);
const ratio = (above, below) => (below > 0 ? above / below : null);

class Figures {
  constructor(seconds) {
    this.seconds = seconds;
    this.times = seconds.map((each) => each.time);
    this.last = seconds.at(-1);
    this.minute = seconds.slice(-MINUTE);
  }

  trailing(length, what) {
    return this.seconds.map((_, at) => what(this.seconds.slice(Math.max(0, at + 1 - length), at + 1)));
  }

  rates() {
    return this.trailing(FEW, tokensPerSecond);
  }

  plainRates() {
    return this.trailing(FEW, (part) => {
      const gained = speedup(part);
      return gained && tokensPerSecond(part) / gained;
    });
  }

  // Everybody who drafted or has a record, in order of appearance.
  drafters() {
    return [...new Set(this.seconds.flatMap((each) => Object.keys(each.drafters)))];
  }

  acceptanceOf(name) {
    return this.trailing(SOME, (part) => ratio(sum(part, (each) => each.drafters[name]?.accepted), sum(part, (each) => each.drafters[name]?.drafted)));
  }

  recordsOf(name) {
    return this.meanOf(name, "hit_rate");
  }

  weightsOf(name) {
    return this.meanOf(name, "weight");
  }

  meanOf(name, field) {
    return this.trailing(FEW, (part) => {
      const known = part.map((each) => each.drafters[name]?.[field]).filter((value) => value != null);
      return ratio(sum(known, (value) => value), known.length);
    });
  }

  members() {
    return this.drafters().filter((name) => this.seconds.some((each) => each.drafters[name]?.hit_rate != null));
  }

  acceptance() {
    return ratio(sum(this.minute, (each) => each.accepted), sum(this.minute, (each) => each.drafted));
  }

  speedup() {
    return speedup(this.minute);
  }

  rate() {
    return tokensPerSecond(this.seconds.slice(-FEW));
  }

  // Of the last minute: [length, how often], from 0 to the longest.
  lengths() {
    const counts = new Map();
    for (const each of this.minute) for (const [length, count] of Object.entries(each.lengths)) counts.set(+length, (counts.get(+length) ?? 0) + count);
    const longest = Math.max(-1, ...counts.keys());
    return Array.from({ length: longest + 1 }, (_, length) => [length, counts.get(length) ?? 0]);
  }

  meanLength() {
    const counts = this.lengths();
    return ratio(sum(counts, ([length, count]) => length * count), sum(counts, ([, count]) => count));
  }
}

const tokensPerSecond = (part) => ratio(sum(part, (each) => each.tokens), sum(part, (each) => each.seconds));

function speedup(part) {
  return part.some((each) => each.plain_seconds == null) ? null : ratio(sum(part, (each) => each.plain_seconds), sum(part, (each) => each.step_seconds)) || null;
}
