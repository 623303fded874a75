// The operator's page: asks the server every few seconds, and draws what has changed.

import { duration, el } from "./dom.js";
import { checkpoints, current, curves, funnel, heading, measurings, rounds, underWay } from "./parts.js";

const EVERY_MS = 3000;
const link = document.getElementById("link");
const list = document.getElementById("tasks");
const main = document.getElementById("task");
const countdowns = { train: el("span", {}, "–"), evaluate: el("span", {}, "–") };

let drawn = "";
let isWhole = false;
let endsAt = {}; // of the phase under way by kind of round, on the clock of performance.now()
let waiting = null;

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (answer.status === 401) location.assign("/admin");
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

function chosen(tasks) {
  const name = decodeURIComponent(location.hash.slice(1));
  const known = tasks.find((task) => task.name === name);
  return known ?? tasks.find((task) => task.status === "running") ?? tasks.at(-1);
}

async function look() {
  clearTimeout(waiting);
  try {
    const { tasks } = await ask("/v1/admin/tasks");
    const task = chosen(tasks);
    const path = task && `/v1/admin/tasks/${encodeURIComponent(task.name)}`;
    const [history, found] = task ? await Promise.all([ask(path), ask(`${path}/funnel`)]) : [];
    draw(tasks, history, found);
    link.textContent = `as of ${new Date().toLocaleTimeString("sv")}`;
    link.classList.remove("lost");
  } catch (error) {
    link.textContent = `no answer: ${error.message}`;
    link.classList.add("lost");
  }
  if (!document.hidden) waiting = setTimeout(look, EVERY_MS);
}

function draw(tasks, history, found) {
  if (!history) {
    main.replaceChildren(el("p", { class: "card" }, "There are no tasks. `pocketfed task create` opens one."));
    return;
  }
  const timed = underWay(history).filter((round) => round.ends_at !== null);
  const until = (round) => performance.now() + (round.ends_at - found.until) * 1000;
  endsAt = Object.fromEntries(timed.map((round) => [round.kind, until(round)]));
  tick();
  const room = Math.round(main.clientWidth);
  const state = JSON.stringify([tasks, history, found.steps, found.evaluation_steps, found.refused, isWhole, room]);
  if (state === drawn) return;
  drawn = state;
  list.replaceChildren(...tasks.toReversed().map((task) => entry(task, history.task.name)));
  main.replaceChildren(
    heading(history.task),
    current(history, countdowns),
    curves(history, room),
    funnel(found),
    rounds(history, isWhole, showAll),
    measurings(history, isWhole, showAll),
    checkpoints(history, isWhole, showAll),
  );
}

function entry(task, selected) {
  const facts = `${task.status} · checkpoint ${task.checkpoint.version}`;
  const mark = task.name === selected ? "page" : null;
  return el(
    "li",
    {},
    el("a", { href: `#${encodeURIComponent(task.name)}`, "aria-current": mark }, task.name, el("small", {}, facts)),
  );
}

function showAll() {
  isWhole = true;
  look();
}

function tick() {
  for (const [kind, countdown] of Object.entries(countdowns)) {
    const at = endsAt[kind];
    countdown.textContent = at === undefined ? "–" : duration((at - performance.now()) / 1000);
  }
}

addEventListener("hashchange", () => {
  isWhole = false;
  look();
});
addEventListener("resize", look);
document.addEventListener("visibilitychange", look);
setInterval(tick, 1000);
look();
