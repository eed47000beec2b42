// Charts of the last minutes.

import { clock } from "./language.js";
import { element, say } from "./text.js";
import { short, word } from "./words.js";

const MINUTES = 10;
const charts = [];
let points = []; // {time, values}, oldest first; no values where the server was away

/** A new one for all charts; without values, nothing is known of this second. */
export function addPoint(values) {
  const time = Date.now();
  points.push({ time, values });
  points = points.filter((point) => point.time > time - MINUTES * 60_000);
  for (const chart of charts) chart.draw();
}

function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function svg(name, attributes = {}) {
  return set(document.createElementNS("http://www.w3.org/2000/svg", name), attributes);
}

const LEFT = 44;
const RIGHT = 6;
const TOP = 16;
const BOTTOM = 104;
const MOVES = { ArrowLeft: -1, ArrowRight: 1, PageDown: -60, PageUp: 60, Home: -1e9, End: 1e9 };

/** One value of the points, as a line over time. */
class Chart {
  known = []; // points that have values
  width = 0;
  step = 1; // half of the axis
  picked = null; // the time of the point that is read

  constructor(key, { heading, advice }, smallest) {
    Object.assign(this, { key, smallest, plot: element("div", "", "plot") });
    advice.before(this.plot);
    // A slider is what arrow keys move, and whose text is read out as they do.
    const label = word("chart", { what: heading.textContent });
    set(this.plot, { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": 0 });
    this.build();
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.pick(null));
    this.plot.addEventListener("blur", () => this.pick(null));
    this.plot.addEventListener("keydown", (event) => this.move(event));
  }

  build() {
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    this.cursor = svg("path", { class: "cursor" });
    this.reading = svg("text", { class: "reading", y: 10 });
    this.rules = [0, 1, 2].map(() => svg("path", { class: "grid" }));
    this.values = [0, 1, 2].map(() => svg("text", { "text-anchor": "end", x: LEFT - 8 }));
    this.times = [MINUTES, MINUTES / 2, 0].map((n) => {
      const anchor = n === MINUTES ? "start" : n ? "middle" : "end";
      const label = svg("text", { "text-anchor": anchor, y: BOTTOM + 18 });
      label.textContent = n ? word("minutesAgo", { n }) : word("now");
      return label;
    });
    const root = svg("svg", { "aria-hidden": "true" });
    root.append(...this.rules, ...this.values, ...this.times);
    root.append(this.area, this.line, this.cursor, this.reading);
    this.plot.append(root);
  }

  x(time) {
    const age = ((points.at(-1)?.time ?? time) - time) / (MINUTES * 60_000);
    return this.width - RIGHT - age * (this.width - RIGHT - LEFT);
  }

  y(value) {
    return BOTTOM - (value / (2 * this.step)) * (BOTTOM - TOP);
  }

  draw() {
    this.width = this.plot.clientWidth;
    this.known = points.filter((point) => point.values);
    const values = this.known.map((point) => point.values[this.key]);
    this.step = axisStep(Math.max(0, ...values), this.smallest);
    this.drawAxes();
    this.drawLine();
    this.read(values);
  }

  drawAxes() {
    const end = this.width - RIGHT;
    this.rules.forEach((rule, n) => set(rule, { d: `M${LEFT} ${this.y(n * this.step)}H${end}` }));
    this.values.forEach((label, n) => {
      set(label, { y: this.y(n * this.step) + 4 });
      say(label, short(n * this.step));
    });
    this.times.forEach((label, n) => set(label, { x: LEFT + ((end - LEFT) * n) / 2 }));
  }

  /** Where the server was away, the line has a gap. */
  drawLine() {
    const runs = [[]];
    for (const { time, values } of points) {
      if (!values) runs.push([]);
      else runs.at(-1).push([this.x(time).toFixed(1), this.y(values[this.key]).toFixed(1)]);
    }
    const lines = runs.filter((run) => run.length);
    const path = lines.map((run) => `M${run.join("L")}h.1`);
    const areas = lines.map((run) => `M${run[0][0]} ${BOTTOM}L${run.join("L")}V${BOTTOM}Z`);
    set(this.line, { d: path.join("") });
    set(this.area, { d: areas.join("") });
  }

  /** Says the value that is pointed at, or all of them in short. */
  read(values) {
    const index = this.index();
    const point = this.picked === null ? undefined : this.known[index];
    const x = point ? this.x(point.time) : 0;
    const at = point && { time: clock(point.time), value: point.values[this.key] };
    const now = values.at(-1);
    const range = { now, least: Math.min(...values), most: Math.max(...values) };
    say(this.reading, at ? word("at", at) : "");
    set(this.reading, { x, "text-anchor": x > this.width / 2 ? "end" : "start" });
    set(this.cursor, { d: point ? `M${x} ${TOP - 2}V${BOTTOM}` : "" });
    set(this.plot, {
      "aria-valuemax": Math.max(values.length - 1, 0),
      "aria-valuenow": Math.max(index, 0),
      "aria-valuetext": at ? word("at", at) : values.length ? word("summary", range) : "–",
    });
  }

  /** Of the point that is read, or of the newest. */
  index() {
    const index = this.known.findIndex((point) => point.time >= (this.picked ?? Infinity));
    return index < 0 ? this.known.length - 1 : index;
  }

  pick(time) {
    this.picked = time;
    this.draw();
  }

  point({ clientX }) {
    const x = clientX - this.plot.getBoundingClientRect().left;
    const distances = this.known.map((point) => Math.abs(this.x(point.time) - x));
    if (distances.length) this.pick(this.known[distances.indexOf(Math.min(...distances))].time);
  }

  move(event) {
    if (!(event.key in MOVES) || !this.known.length) return;
    event.preventDefault();
    const next = this.index() + (this.picked === null ? 0 : MOVES[event.key]);
    this.pick(this.known[Math.min(Math.max(next, 0), this.known.length - 1)].time);
  }
}

/** In a tile, of one of the values; `smallest` is what half of the axis is at least. */
export function addChart(key, tile, smallest) {
  charts.push(new Chart(key, tile, smallest));
}

addEventListener("resize", () => charts.forEach((chart) => chart.draw()));

/** 1, 2 or 5 with zeros; twice it holds all. */
function axisStep(most, smallest) {
  let step = smallest;
  for (let turn = smallest < 1 ? 2 : 0; step * 2 < most; turn += 1) step *= [2, 2.5, 2][turn % 3];
  return step;
}
