// The parts of a task's page, each built from the server's records.

import { bytes, column, count, duration, el, figure, instant, words } from "./dom.js";
import { bar, chart, legend, parts } from "./draw.js";

const LATEST = 12;
const PAIR_PX = 640; // room in which two charts stand side by side
const LOOKS = {
  folded: "done", uploaded: "done", measured: "done", reported: "sent", assigned: "busy",
  failed: "lost", expired: "lost", aborted: "lost", rejected: "lost", late: "late",
};
const NAMES = { reported: "sending", uploaded: "accepted", measured: "accepted" };
const DOING = { train: "training", evaluate: "measuring" };
const FINAL = ["committed", "abandoned"];

export function heading(task) {
  const { plan, settings } = task;
  const facts = [
    `population ${task.population}`,
    `E=${plan.epochs}, B=${plan.batch_size}, lr=${figure(plan.learning_rate)}`,
    `goal ${count(settings.goal)}, minimum ${count(Math.ceil(settings.goal * settings.minimum_fraction))}`,
  ];
  return el(
    "div",
    {},
    el("div", { class: "head" }, el("h2", {}, task.name), status(task.status)),
    el("div", { class: "quiet" }, facts.join(" · ")),
  );
}

function status(word) {
  return el("span", { class: `status ${word}` }, word);
}

// The rounds under way, at most one of each kind.
export function underWay(history) {
  const measuring = history.evaluation_rounds.filter((round) => !FINAL.includes(round.phase));
  return [history.task.current, ...measuring].filter((round) => round !== null);
}

// What is under way; `countdowns` has an element for each kind, which the page keeps up to date.
export function current(history, countdowns) {
  const cards = underWay(history).map((round) => running(round, countdowns[round.kind], history.task.settings.buffer));
  return el("div", { class: "stack" }, history.task.current ? null : ended(history.task), ...cards);
}

function ended(task) {
  const end = `The task is ${task.status} after ${plural(task.committed, "round")}.`;
  return el("section", { class: "card" }, el("h2", {}, "No round is under way"), el("p", { class: "quiet" }, end));
}

function running(round, countdown, buffer) {
  const isTraining = round.kind === "train";
  const found = Object.entries(LOOKS).map(([state, look]) => ({
    name: state === "assigned" ? DOING[round.kind] : (NAMES[state] ?? state), look, count: round.states[state] ?? 0,
  }));
  const taken = found.reduce((sum, part) => sum + part.count, 0);
  const held = (round.states.assigned ?? 0) + (round.states.reported ?? 0);
  const left = isTraining && buffer ? buffer.concurrency - held : round.capacity - taken;
  const free = { name: "free", look: "free", count: Math.max(0, left) };
  return el(
    "section",
    { class: "card" },
    el("h2", {}, isTraining ? `Round ${label(round)} is ${round.phase}` : `Measuring checkpoint ${label(round)}: ${round.phase}`),
    el(
      "dl",
      { class: "figures" },
      one("accepted", `${count(round.accepted)} of ${count(round.goal)}`),
      one("places given", `${count(round.assigned)}`),
      isTraining ? one("examples", count(round.num_examples)) : null,
      round.mean_staleness === null ? null : one("versions behind", round.mean_staleness.toFixed(2)),
      round.ends_at === null ? null : one(`until ${round.phase} ends`, countdown),
    ),
    parts("devices by state", [...found, free], taken + free.count),
  );
}

function one(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

// Every curve that is known: the training loss, and whatever was measured of a checkpoint.
export function curves(history, room) {
  const found = measured(history);
  const loss = history.rounds
    .filter((round) => round.phase === "committed" && round.train_loss !== null)
    .map((round) => [round.base_version + 1, round.train_loss]);
  if (loss.length) found.set("loss", [{ name: "training", points: loss }, ...(found.get("loss") ?? [])]);
  if (!found.size) return el("div", { hidden: "" });
  const isPair = found.size > 1 && room > PAIR_PX;
  const width = Math.max(240, (isPair ? (room - 16) / 2 : room) - 34);
  const drawn = [...found].map(([metric, series]) =>
    el("section", { class: "card" }, el("h2", {}, title(metric, series)), chart(metric, series, width)),
  );
  return el("div", { class: isPair ? "pair" : "stack" }, ...drawn);
}

function title(metric, series) {
  const name = words(metric);
  const whole = series.length === 1 ? `${series[0].name} ${name}` : name;
  return `${whole[0].toUpperCase()}${whole.slice(1)} by checkpoint`;
}

// metric -> series, one for each source that has measured it.
function measured(history) {
  const found = new Map();
  for (const evaluation of history.evaluations ?? []) {
    for (const [metric, value] of Object.entries(evaluation.metrics)) {
      const series = found.get(metric) ?? found.set(metric, []).get(metric);
      let mine = series.find((one) => one.name === evaluation.source);
      if (!mine) series.push((mine = { name: evaluation.source, points: [] }));
      mine.points.push([evaluation.version, value]);
    }
  }
  for (const series of found.values()) for (const one of series) one.points.sort(([a], [b]) => a - b);
  return found;
}

export function funnel(found) {
  const most = found.steps[0].reached;
  const refused = Object.entries(found.refused);
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "From check-in to checkpoint"),
    el("ul", { class: "funnel" }, ...found.steps.map((step) => stage(step, most))),
    ...measuringSteps(found.evaluation_steps),
    legend([
      { name: "went on", look: "done" }, { name: "still on the way", look: "busy" }, { name: "lost", look: "lost" },
    ]),
    refused.length ? el("p", { class: "quiet" }, `Uploads refused: ${listed(refused)}`) : null,
  );
}

function measuringSteps(steps) {
  if (!steps.length) return [];
  const bars = steps.map((step) => stage(step, steps[0].reached));
  return [el("h2", { class: "next" }, "From a place to a measurement"), el("ul", { class: "funnel" }, ...bars)];
}

function stage(step, most) {
  const lost = Object.entries(step.lost);
  const waiting = step.waiting ? [["still on the way", step.waiting]] : [];
  const gone = lost.reduce((sum, [, devices]) => sum + devices, 0);
  const shown = [
    { look: "done", count: step.reached - step.waiting - gone },
    { look: "busy", count: step.waiting },
    { look: "lost", count: gone },
  ];
  const label = `${words(step.stage)}: ${count(step.reached)} devices`;
  return el(
    "li",
    {},
    el("div", { class: "name" }, el("span", {}, words(step.stage)), el("span", {}, count(step.reached))),
    bar(shown, most, label),
    el("div", { class: "why" }, listed([...waiting, ...lost])),
  );
}

function listed(pairs) {
  return pairs.map(([name, devices]) => `${words(name)} ${count(devices)}`).join(" · ");
}

export function rounds(history, isWhole, showAll) {
  const latest = history.rounds.toReversed();
  const shown = isWhole ? latest : latest.slice(0, LATEST);
  const hidden = latest.length - shown.length;
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "Rounds, latest first"),
    table(
      [["round", "text"], ["phase", "text"], ["accepted"], ["late", "wide"], ["dropped", "wide"],
       ["failed", "wide"], ["examples"], ["loss"], ["up", "wide"], ["took", "wide"]],
      shown.map((round) => [
        label(round), phase(round), `${count(round.accepted)}/${count(round.goal)}`, count(round.late),
        count(round.dropped), count(round.failed), count(round.num_examples),
        round.train_loss === null ? "" : column(round.train_loss), bytes(round.bytes_up), took(round),
      ]),
    ),
    more(hidden, showAll),
  );
}

// Nothing for a task that no device measures.
export function measurings(history, isWhole, showAll) {
  const latest = history.evaluation_rounds.toReversed();
  if (!latest.length) return el("div", { hidden: "" });
  const shown = isWhole ? latest : latest.slice(0, LATEST);
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "Checkpoints measured by devices, latest first"),
    table(
      [["checkpoint", "text"], ["phase", "text"], ["accepted"], ["late", "wide"], ["dropped", "wide"],
       ["failed", "wide"], ["examples"], ["took", "wide"]],
      shown.map((round) => [
        label(round), phase(round), `${count(round.accepted)}/${count(round.goal)}`, count(round.late),
        count(round.dropped), count(round.failed), count(round.num_examples), took(round),
      ]),
    ),
    more(latest.length - shown.length, showAll),
  );
}

function more(hidden, showAll) {
  const button = { class: "plain more", type: "button", click: showAll };
  return hidden > 0 ? el("button", button, `Show ${count(hidden)} more`) : null;
}

function phase(round) {
  return round.reason ? `${round.phase}: ${words(round.reason)}` : round.phase;
}

function took(round) {
  return round.closed_at === null ? "" : duration(round.closed_at - round.opened_at);
}

function label(round) {
  return round.attempt === 1 ? `${round.round}` : `${round.round}.${round.attempt}`;
}

export function checkpoints(history, isWhole, showAll) {
  const latest = history.checkpoints.toReversed();
  const shown = isWhole ? latest : latest.slice(0, LATEST);
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "Checkpoints"),
    table(
      [["version", "text"], ["made", "text"], ["sha-256", "text wide"], ["", "text wide"], ["size"], [""]],
      shown.map((one) => [
        count(one.version), instant(one.created_at), el("code", {}, one.sha256.slice(0, 16)),
        origin(one), bytes(one.bytes),
        el("a", { href: one.url, download: `${history.task.name}-${one.version}.safetensors` }, "download"),
      ]),
    ),
    more(latest.length - shown.length, showAll),
  );
}

function origin(one) {
  return one.rolled_back_from === null ? "" : `weights of ${count(one.parent)}`;
}

function table(columns, rows) {
  const looks = columns.map(([, look]) => look ?? null);
  const cells = (tag, values) => values.map((value, index) => el(tag, { class: looks[index] }, value));
  const head = el("thead", {}, el("tr", {}, ...cells("th", columns.map(([name]) => name))));
  const body = el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells("td", row))));
  return el("div", { class: "scroll" }, el("table", {}, head, body));
}

function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}
