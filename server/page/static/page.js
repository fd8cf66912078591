// The page as it changes: the server sends what is new, and it is put in its place.
// Fragments are HTML that the server has escaped; this script writes text only.
import { ASKED, CLOSED, Chart, FAILED, FASTEST, FEWEST, KEY, MEAN, SLOWEST, USED, amount, count, drawSeconds, drawSteps, drawUsed } from "./charts.js";

const byId = (id) => document.getElementById(id);
const bins = new Map();
let width = 1, round = 1, steps = [], cursor = document.body.dataset.cursor, lost = null;

const charts = {
  used: new Chart(byId("chart-used"), byId("read-used")),
  seconds: new Chart(byId("chart-seconds"), byId("read-seconds")),
  steps: new Chart(byId("chart-steps"), byId("read-steps")),
};

function take(change) {
  for (const [name, html] of Object.entries(change.html)) put(byId(name), html);
  if (change.bins.anew) bins.clear();
  width = change.bins.width;
  for (const row of change.bins.rows) bins.set(row[KEY], row);
  if (change.steps) steps = change.steps;
  afterwards(change.bins.rows.length || change.bins.anew, change.steps);
}

// Unchanged text stays: a live region is read aloud again only when there is something new.
function put(place, html) {
  if (place.innerHTML !== html) place.innerHTML = html;
}

function afterwards(newBins, newSteps) {
  const { can = "", title = "", tone = "", at = "1" } = document.querySelector("#state [data-can]")?.dataset ?? {};
  document.title = `${title}: ${document.querySelector("h1").textContent}`;
  document.body.dataset.tone = tone;
  round = Number(at);
  for (const button of document.querySelectorAll("[data-wish]")) {
    button.setAttribute("aria-disabled", String(!can.split(" ").includes(button.dataset.wish)));
  }
  if (newBins) showBins();
  byId("steps").hidden = !steps.length;
  if (newSteps && steps.length) showSteps();
  tellTimes();
}

function showBins() {
  const rows = [...bins.values()].sort((a, b) => a[KEY] - b[KEY]);
  const last = rows[rows.length - 1];
  const find = (at) => at === null ? last : bins.get(Math.floor((at - 1) / width));
  const read = (say) => (at) => {
    const row = find(at);
    return row ? { text: `${place(row)}: ${say(row)}`, at: (row[KEY] + 0.5) * width + 1 } : { text: at === null ? "No round yet." : "" };
  };
  const label = last ? `the last, ${place(last).toLowerCase()}: ` : "none yet";
  charts.used.show((host) => drawUsed(host, rows, width), read(sayUsed), `Sites in each round; ${label}${last ? sayUsed(last) : ""}`);
  charts.seconds.show((host) => drawSeconds(host, rows, width), read(saySeconds), `Seconds of each round; ${label}${last ? saySeconds(last) : ""}`);
}

function place(row) {
  const from = row[KEY] * width + 1;
  return width > 1 ? `Rounds ${count(from)} to ${count(Math.max(from, Math.min(from + width - 1, round)))}` : `Round ${count(from)}`;
}

function sayUsed(row) {
  const failed = row[FAILED] ? `; ${count(row[FAILED])} without a quorum` : "";
  if (!row[CLOSED]) return `not closed${failed}`;
  const fewest = width > 1 ? ` on average, at least ${count(row[FEWEST])}` : "";
  return `${amount(row[USED])} of ${amount(row[ASKED])} sites${fewest}${failed}`;
}

function saySeconds(row) {
  if (!row[CLOSED]) return "not closed";
  const range = width > 1 ? `, ${amount(row[FASTEST])} to ${amount(row[SLOWEST])}` : "";
  return `${amount(row[MEAN])} s${range}`;
}

function showSteps() {
  const nearest = (at) => at === null ? steps[steps.length - 1] : steps.find(([round]) => round >= at) ?? steps[steps.length - 1];
  const read = (at) => {
    const [round, norm] = nearest(at);
    return { text: `Up to round ${count(round)}: ${amount(norm)} a round`, at: round + 0.5 };
  };
  charts.steps.show((host) => drawSteps(host, steps), read, `Movement of the initialization. ${read(null).text}`);
}

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function tellTimes() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time")) {
    const then = new Date(time.dateTime), seconds = Math.max(0, (now - then) / 1000);
    const [unit, name] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
    const text = `${Math.floor(seconds / unit)} ${name} ago`;
    if (time.textContent !== text) time.textContent = text;
    time.title ||= then.toLocaleString();
  }
}

function linked(live) {
  const link = byId("link");
  lost = live ? null : lost ?? new Date();
  link.className = live ? "link live" : "link lost";
  link.textContent = live ? "Live" : `No connection since ${lost.toLocaleTimeString()}; this is an older state`;
}

function listen() {
  const source = new EventSource(`events?seen=${encodeURIComponent(cursor)}`);
  source.addEventListener("open", () => linked(true));
  source.addEventListener("change", (event) => {
    cursor = event.lastEventId;
    take(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    linked(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
}

take({ html: {}, ...JSON.parse(document.body.dataset.first) });
setInterval(tellTimes, 5000);
listen();
addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
if (byId("control")) import("./control.js");
