// Pictures: curves over versions, and bars whose parts are counts.

import { count, el, figure, svg } from "./dom.js";

const HEIGHT = 210;
const MARGIN = { top: 14, right: 14, bottom: 26, left: 48 };

// One chart: series is [{name, points: [[version, value], …]}], oldest point first.
export function chart(title, series, width) {
  const points = series.flatMap((one) => one.points);
  const x = scale(extent(points.map(([at]) => at), 1), MARGIN.left, width - MARGIN.right);
  const ticks = roundSteps(...padded(points.map(([, value]) => value)), 4);
  const y = scale([ticks[0], ticks.at(-1)], HEIGHT - MARGIN.bottom, MARGIN.top);
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    height: HEIGHT,
    role: "img",
    "aria-label": `${title}: ${series.map(spoken).join("; ")}`,
  });
  for (const tick of ticks) {
    picture.append(
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, figure(tick)),
    );
  }
  for (const tick of versionTicks(points, Math.max(2, Math.floor(width / 70)))) {
    picture.append(svg("text", { x: x(tick), y: HEIGHT - 8, "text-anchor": "middle" }, count(tick)));
  }
  series.forEach((one, index) => curve(picture, one, index % 4, x, y));
  return el("div", { class: "chart" }, picture, series.length > 1 ? key(series) : null);
}

function curve(picture, one, colour, x, y) {
  const places = one.points.map(([at, value]) => [x(at), y(value)]);
  picture.append(
    svg("polyline", { class: `s${colour}`, points: places.map((place) => place.join(",")).join(" ") }),
  );
  const dotted = places.length <= 40 ? places : [places.at(-1)];
  for (const [cx, cy] of dotted) picture.append(svg("circle", { class: `s${colour}`, cx, cy, r: 2.5 }));
  one.points.forEach(([at, value], index) => {
    const [cx, cy] = places[index];
    const told = svg("title", {}, `${one.name}, checkpoint ${count(at)}: ${figure(value)}`);
    picture.append(svg("circle", { class: "hit", cx, cy, r: 9 }, told));
  });
}

function key(series) {
  return el(
    "ul",
    { class: "keys" },
    ...series.map((one, index) => el("li", {}, swatch(`s${index % 4}`), one.name)),
  );
}

function spoken(one) {
  const [at, value] = one.points.at(-1);
  return `${one.name} ${figure(value)} at checkpoint ${count(at)}`;
}

// One bar of parts [{name, count, look}], as long as `whole`, with its key below.
export function parts(label, found, whole) {
  const shown = found.filter((part) => part.count > 0);
  const told = shown.map((part) => `${part.name} ${count(part.count)}`);
  return el("div", {}, bar(shown, whole, `${label}: ${told.join(", ")}`), legend(shown));
}

export function bar(shown, whole, label) {
  const picture = svg("svg", {
    viewBox: `0 0 ${Math.max(1, whole)} 1`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": label,
  });
  let from = 0;
  for (const part of shown) {
    picture.append(svg("rect", { class: part.look, x: from, y: 0, width: part.count, height: 1 }));
    from += part.count;
  }
  return el("div", { class: "track" }, picture);
}

// What the looks of a bar mean, with their counts where they have one.
export function legend(shown) {
  const told = (part) => (part.count === undefined ? part.name : `${part.name} ${count(part.count)}`);
  return el("ul", { class: "keys" }, ...shown.map((part) => el("li", {}, swatch(part.look), told(part))));
}

function swatch(look) {
  const square = svg("rect", { class: look, width: 10, height: 10, rx: 2 });
  return svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, square);
}

function scale([low, high], from, to) {
  return (value) => Math.round((from + ((value - low) / (high - low || 1)) * (to - from)) * 10) / 10;
}

function extent(values, least) {
  const low = Math.min(...values);
  return [low, Math.max(low + least, ...values)];
}

function padded(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low === high ? [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1] : [low, high];
}

// Round numbers that enclose [low, high], about `wanted` steps apart.
function roundSteps(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw);
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

function versionTicks(points, most) {
  const [low, high] = extent(points.map(([at]) => at), 0);
  const every = Math.max(1, ...roundSteps(0, (high - low) / most || 1, 1).slice(1, 2));
  const step = Math.ceil(every);
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, i) => first + i * step);
}
