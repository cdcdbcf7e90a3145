"use strict";
// Shows what the supervisor publishes each second. Whatever comes from outside is set as text, never
// as markup; the server's policy (trusted types) forbids anything else.

const STALE_MS = 5000; // without a state; one comes each second
const DEAD_MS = 25000; // without anything; the server says something every 10 s
const RETRY_MS = [1000, 2000, 5000, 10000]; // where the browser itself does not try again
const REFRESH_MS = 2000; // of a table that was asked for
const EVENTS_SHOWN = 200;
const NARROWEST = 100; // CSS pixels of a chart
const MARKS = { pass: "✓ pass", fail: "✗ fail", inconclusive: "? inconclusive" };
const STATES = {
  silent: ["✗ silent", "bad"],
  unavailable: ["✗ not served", "bad"],
  repairing: ["… repairing", "warning"],
  quiet: ["quiet, as REST says", ""],
  ok: ["✓ ok", "good"],
};
const WEIGHTS = { bad: "✗", warning: "!", good: "✓" };
const NOTHING = "–";

const byId = (id) => document.getElementById(id);

// Numbers for people ------------------------------------------------------------------------------

const known = (value, show) => (value === null || value === undefined ? NOTHING : show(value));
const count = (value) => known(value, (it) => it.toLocaleString("en-US"));
const digits = (value, most) =>
  value.toLocaleString("en-US", { maximumFractionDigits: most, minimumFractionDigits: 0 });
const some = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const rate = (value) => known(value, (it) => digits(it, it < 100 ? 1 : 0));
const mib = (bytes) => known(bytes, (it) => `${digits(it / 2 ** 20, 1)} MiB`);
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const size = (bytes) =>
  known(bytes, (it) => {
    const power = Math.min(Math.floor(Math.log2(Math.max(it, 1)) / 10), UNITS.length - 1);
    return `${digits(it / 1024 ** power, 1)} ${UNITS[power]}`;
  });
const percent = (cores) => known(cores, (it) => `${digits(it * 100, 1)} % of a core`);
const clock = (seconds) =>
  known(seconds, (it) => {
    const whole = Math.round(it);
    const pad = (part) => String(part).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  });
const duration = (seconds) =>
  known(seconds, (it) => (it < 120 ? `${digits(it, it < 10 ? 1 : 0)} s` : clock(it)));
const milli = (seconds) => `${digits(seconds * 1000, 1)} ms`;
const bound = (seconds) => (seconds === null ? "> 10 s" : `≤ ${milli(seconds)}`);
const score = (value) => known(value, (it) => it.toFixed(2));
const timeOf = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");
const dated = (milliseconds) => new Date(milliseconds).toLocaleString("sv-SE");

// Elements ----------------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawn(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Set a text only when it is another one: a selection stays, and readers are told of no change. */
function say(node, text, className) {
  if (node.textContent !== text) node.textContent = text;
  if (className !== undefined && node.className !== className) node.className = className;
}

/** Make a parent's children as many as items, and have each shown in its child. */
function each(parent, items, create, show) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, at) => {
    if (at === parent.children.length) parent.append(create());
    show(parent.children[at], item);
  });
}

function figures(list, facts) {
  each(
    list,
    facts,
    () => element("div", {}, element("dt"), element("dd")),
    (pair, [name, value, className = ""]) => {
      say(pair.firstElementChild, name);
      say(pair.lastElementChild, value, className);
    },
  );
}

/** Return what makes a row: a heading, then cells with a label that narrow screens show. */
const rowOf = (...labels) => () =>
  element(
    "tr",
    {},
    element("th", { scope: "row" }),
    ...labels.map((label) =>
      element("td", label.startsWith("#") ? { "data-label": label.slice(1), class: "number" } : {}),
    ),
  );

function fill(row, texts, classes = []) {
  texts.forEach((text, at) => say(row.children[at], text, classes[at]));
}

// The connection ----------------------------------------------------------------------------------

let source = null;
let version = null;
let latest = null; // the state that is shown
let seenAt = null; // when it was made, by our clock
let heardAt = Date.now(); // anything at all
let lost = false; // the connection
let tries = 0;
let again = null;

function connect() {
  clearTimeout(again);
  source?.close();
  heardAt = Date.now();
  source = new EventSource("events");
  const on = (name, act) =>
    source.addEventListener(name, (message) => {
      heardAt = Date.now();
      lost = false;
      tries = 0;
      act(JSON.parse(message.data));
      tell();
    });
  on("state", (state) => {
    seenAt = Date.now();
    show(state);
  });
  on("memory", showMemory);
  on("events", showEvents);
  on("stalled", ({ age_seconds: age }) => {
    if (age !== null) seenAt = Date.now() - age * 1000;
  });
  source.onerror = () => {
    lost = true;
    tell();
    if (source.readyState === EventSource.CLOSED) {
      again = setTimeout(connect, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
      tries += 1;
    }
  };
}

function tell() {
  const stale = seenAt === null || Date.now() - seenAt > STALE_MS;
  const of = seenAt === null ? "" : ` What is shown is of ${dated(seenAt)}.`;
  let text = seenAt === null ? "Connecting …" : `Live, ${timeOf(seenAt)}`;
  let news = "Live.";
  if (lost) {
    text = news = `Connection lost, trying again.${of}`;
  } else if (stale && seenAt !== null) {
    text = news = `Connected, but the supervisor tells nothing.${of}`;
  }
  say(byId("connection"), text, lost || (stale && seenAt !== null) ? "lost" : "");
  document.body.classList.toggle("stale", lost || stale);
  announce("connection", news, seenAt !== null);
}

const announced = {};

/** Have a screen reader say what has changed; not what it begins with. */
function announce(subject, text, aloud) {
  if (announced[subject] === text) return;
  if (announced[subject] !== undefined && aloud) say(byId("said"), text);
  announced[subject] = text;
}

setInterval(() => {
  if (document.hidden) return;
  if (Date.now() - heardAt > DEAD_MS) connect();
  tell();
}, 1000);

// A browser has few connections for each host: tabs that nobody sees give theirs back.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(again);
    source?.close();
  } else {
    connect();
  }
});

// The state ---------------------------------------------------------------------------------------

function show(state) {
  version ??= state.version;
  if (state.version !== version) location.reload(); // a page of another version
  if (latest !== null && latest.started !== state.started) byId("event-rows").replaceChildren();
  latest = state;
  showHead(state);
  showCriteria(state.verdict);
  showStreamers(state);
  showStreams();
  const own = state.supervisor;
  figures(byId("own"), [
    ["memory", mib(own.rss_bytes)],
    ["CPU", percent(own.cpu_cores)],
    ["disk free", size(own.disk_free_bytes)],
    ["version", state.version],
  ]);
}

function showHead(state) {
  const verdict = state.verdict;
  const ready = state.ready ? "Streaming and storing" : "Not ready";
  // What is only known at the end is open until then: that is nothing to worry about.
  const isOpen = verdict?.outcome === "inconclusive" && state.elapsed_seconds < state.duration_seconds;
  const outcome = isOpen ? "pass" : (verdict?.outcome ?? (state.ready ? "pass" : "fail"));
  const mark = isOpen ? "✓ nothing failed" : MARKS[outcome];
  const headline = verdict ? `Verdict so far: ${mark}` : ready;
  say(byId("headline"), headline, "outcome");
  byId("head").className = outcome;
  document.title = `${headline} – Vigil`;
  const failed = (verdict?.criteria ?? []).filter((one) => one.required && one.outcome === "fail");
  const open = (verdict?.criteria ?? []).filter(
    (one) => one.required && one.outcome === "inconclusive",
  );
  const reasons = [
    ...failed.map((one) => `${one.name}: ${one.reason || one.expression}`),
    ...state.obstacles.map((one) => (verdict ? `Not ready: ${one}` : one)),
    ...state.warnings,
    ...(open.length ? [`Not known yet: ${open.map((one) => one.name).join(", ")}`] : []),
  ];
  each(byId("reasons"), reasons, () => element("li"), say);
  announce("headline", [headline, ...state.obstacles].join(". "), true);
  const of = state.duration_seconds ? ` of ${clock(state.duration_seconds)}` : "";
  const what = state.profile ? `${state.profile} soak` : "service";
  say(byId("run"), `${what}, since ${dated(state.started * 1000)}`);
  const sum = (read) => state.streamers.reduce((total, one) => total + read(one), 0);
  const most = (read) => Math.max(...state.streamers.map((one) => read(one) ?? -1), -1);
  const { states, total } = state.streams;
  const worst = most((one) => one.leak?.score);
  const rss = most((one) => one.rss_bytes);
  const missing = sum((one) => one.counts.missing);
  figures(byId("figures"), [
    ["running", clock(state.elapsed_seconds) + of],
    ["readiness", ready, state.ready ? "" : "bad"],
    ["events per second", rate(state.events_per_second)],
    ["events", count(sum((one) => one.counts.events))],
    ["streams", count(total)],
    ["silent", count(states.silent), states.silent ? "bad" : ""],
    ["not served", count(states.unavailable), states.unavailable ? "bad" : ""],
    ["memory", `${mib(rss < 0 ? null : rss)} of ${mib(state.memory_ceiling_bytes)}`],
    ["leak score", score(worst < 0 ? null : worst), scoreClass(worst)],
    ["ids lost", count(missing), missing ? "bad" : ""],
    ["ids repaired", count(sum((one) => one.counts.repaired))],
    ["actions of rules", count(state.actions.reduce((total, one) => total + one.count, 0))],
  ]);
}

const scoreClass = (value) => (value > 0.8 ? "bad" : value > 0.5 ? "warning" : "");

let failedBefore = false;

function showCriteria(verdict) {
  byId("criteria").hidden = verdict === null;
  if (verdict === null) return;
  const of = (outcome) => verdict.criteria.filter((one) => one.outcome === outcome).length;
  const counts = Object.keys(MARKS).map((outcome) => `${of(outcome)} ${outcome}`);
  say(byId("judged"), `${counts.join(", ")}; as judged at ${clock(verdict.elapsed_seconds)}`);
  if (verdict.outcome === "fail" && !failedBefore) byId("judgement").open = true;
  failedBefore = verdict.outcome === "fail";
  each(
    byId("criteria-rows"),
    verdict.criteria,
    () => {
      const row = rowOf("", "#observed", "#limit", "")();
      row.firstElementChild.append(element("span"), element("div", { class: "quiet" }));
      return row;
    },
    (row, one) => {
      const [name, expression] = row.firstElementChild.children;
      say(name, one.name);
      say(expression, one.expression);
      const breach =
        one.first_breach_seconds === null ? "" : `first at ${clock(one.first_breach_seconds)}; `;
      const informational = one.required ? "" : " (informational)";
      const texts = [MARKS[one.outcome] + informational, one.observed, one.limit];
      [...texts, breach + one.reason].forEach((text, at) => say(row.children[at + 1], text));
      row.children[1].className = `outcome ${one.outcome}`;
    },
  );
}

// Streamers ---------------------------------------------------------------------------------------

let memories = {};

function showStreamers(state) {
  each(byId("streamers"), state.streamers, createStreamer, (section, one) => {
    const title = section.querySelector("h2");
    section.setAttribute("aria-label", one.name);
    say(title.firstElementChild, one.name);
    const how = one.up
      ? `generation ${one.generation}, pid ${one.pid}, ${one.state ?? "starting"}`
      : `generation ${one.generation} ended with ${one.exit_code}`;
    say(title.lastElementChild, how, one.streaming ? "quiet" : "bad");
    const [process, feed, sink] = section.querySelectorAll("dl");
    figures(process, processFacts(one, state));
    figures(feed, feedFacts(one));
    figures(sink, one.sink ? sinkFacts(one) : []);
    say(section.querySelector(".leak"), one.leak ? `Leak detector: ${one.leak.reason}` : "");
    section.querySelector("table").hidden = one.slots.length === 0;
    each(
      section.querySelector("tbody"),
      one.slots,
      rowOf("", "#age", "#drops"),
      (row, slot) => {
        const how = slot.live ? (slot.rotating ? "… rotating" : "✓ live") : "✗ down";
        fill(
          row,
          [slot.slot, how, clock(slot.age_seconds), count(slot.drops)],
          [undefined, slot.live ? "good" : "bad"],
        );
      },
    );
    drawMemory(section, one, state);
  });
}

function createStreamer() {
  const section = element(
    "section",
    { class: "streamer" },
    element("h2", {}, element("span"), " ", element("span", { class: "quiet" })),
    element("dl"),
    element("h3", {}, "Memory"),
    element("button", { type: "button", "aria-pressed": "false" }, "Up to the ceiling"),
    element("div", { class: "chart" }, drawn("svg", { role: "img" })),
    element("p", { class: "leak" }),
    element("h3", {}, "Gaps, repairs, latency"),
    element("dl"),
    element("h3", {}, "Sink"),
    element("dl"),
    element("h3", {}, "Connections"),
    element(
      "table",
      {},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          element("th", { scope: "col" }, "connection"),
          element("th", { scope: "col" }, "state"),
          element("th", { scope: "col", class: "number" }, "age"),
          element("th", { scope: "col", class: "number" }, "drops"),
        ),
      ),
      element("tbody"),
    ),
  );
  const toggle = section.querySelector("button");
  toggle.addEventListener("click", () => {
    toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") === "false"));
    if (latest !== null) showStreamers(latest);
  });
  return section;
}

const processFacts = (one, state) => [
  ["memory", mib(one.rss_bytes), one.rss_bytes > 0.9 * state.memory_ceiling_bytes ? "bad" : ""],
  ["held by", heldBy(one.memory_parts)],
  ["growth of the floor", mib(one.growth_bytes)],
  ["leak score", score(one.leak?.score), scoreClass(one.leak?.score ?? 0)],
  ["CPU", percent(one.cpu_cores)],
  ["threads, open files", `${count(one.threads)}, ${count(one.open_files)}`],
  ["last report", known(one.report_age_seconds, (it) => `${duration(it)} ago`)],
  ["rotations", rotations(one), one.rotations_failed ? "warning" : ""],
  ["restarts left", count(one.restarts_remaining)],
];

const heldBy = (parts) =>
  Object.entries(parts)
    .filter(([, [bytes]]) => bytes >= 2 ** 17) // less is shown as 0.1 MiB at most
    .sort(([, [one]], [, [other]]) => other - one)
    .map(([name, [bytes]]) => `${name.replaceAll("_", " ")} ${mib(bytes)}`)
    .join(", ") || NOTHING;

function rotations({ rotations: done, rotations_failed: failed }) {
  const reasons = Object.entries(done).map(([reason, number]) => `${reason} ${count(number)}`);
  return [...reasons, ...(failed ? [`failed ${count(failed)}`] : [])].join(", ") || "0";
}

const lefts = {}; // by streamer: when how many ids were left, of the last half minute

function backfill({ name, backfill: progress }) {
  const seen = (lefts[name] = (lefts[name] ?? []).filter(([at]) => at > latest.time - 30));
  if (!progress?.gaps) {
    seen.length = 0;
    return "no gap is open";
  }
  const { gaps, ids_left: left, ids_done: done } = progress;
  if (seen.at(-1)?.[0] !== latest.time) seen.push([latest.time, left]);
  const [[since, before]] = seen;
  const pace = (before - left) / (latest.time - since); // new gaps may make it negative
  const more = pace > 0 ? `, about ${duration(left / pace)} more` : "";
  const share = Math.floor((100 * done) / (done + left));
  return `${some(gaps, "gap")}, ${some(left, "id")} left, ${share} % done${more}`;
}

function feedFacts(one) {
  const { counts, latency } = one;
  const latencyOf = (it) => (it ? `${bound(it.p50)}, 99 %: ${bound(it.p99)}` : NOTHING);
  const held = one.repairing
    ? `${some(one.held, "event")} of ${some(one.repairing, "stream")}`
    : "nothing waits";
  return [
    ["gaps lost", `${count(counts.gaps)}, ${some(counts.missing, "id")}`, counts.gaps ? "bad" : ""],
    ["gaps repaired", `${count(counts.repaired_gaps)}, ${some(counts.repaired, "id")}`],
    ["back-fill", backfill(one), one.backfill?.gaps ? "warning" : ""],
    ["behind gaps", held, one.repairing ? "warning" : ""],
    ["copies left out", count(counts.duplicates)],
    ["exchange to streamer", latencyOf(latency.receive)],
    ["streamer to acknowledgement", latencyOf(latency.acknowledge)],
    ["exchange's clock less ours", known(one.clock_offset_seconds, (it) => `${digits(it, 3)} s`)],
  ];
}

function sinkFacts(one) {
  const sink = one.sink;
  const late = !sink.opened || sink.unacknowledged_seconds > 30;
  return [
    ["kind", sink.kind],
    ["acknowledged", count(sink.acknowledged)],
    ["queued", `${count(sink.queued)}, ${size(sink.queued_bytes)}`, late ? "bad" : ""],
    [
      "overflow on disk",
      `${count(sink.overflow_records)}, ${size(sink.overflow_bytes)}`,
      sink.overflow_records ? "warning" : "",
    ],
    [
      "without acknowledgement",
      sink.opened ? duration(sink.unacknowledged_seconds) : "since the start",
      late ? "bad" : "",
    ],
    ["slowest broker, 99 %", known(sink.slowest_broker_seconds, milli)],
    ["errors", count(sink.errors)],
  ];
}

// Memory over time --------------------------------------------------------------------------------

function showMemory(all) {
  memories = Object.fromEntries(all.map((one) => [one.name, one]));
  if (latest !== null) showStreamers(latest);
}

new ResizeObserver(() => latest !== null && showStreamers(latest)).observe(byId("streamers"));

function drawMemory(section, one, state) {
  const svg = section.querySelector("svg");
  const memory = memories[one.name];
  const now = one.up && one.rss_bytes !== null ? one.rss_bytes / 2 ** 20 : null;
  const width = svg.clientWidth;
  if (width < NARROWEST) return; // not laid out yet, or hidden
  const whole = section.querySelector("button").getAttribute("aria-pressed") === "true";
  const band = memory?.generation === one.generation ? memory.band : [];
  const drawing = JSON.stringify([width, whole, state.memory_ceiling_bytes, now, band.length, band.at(-1)]);
  if (svg.dataset.drawing === drawing) return;
  svg.dataset.drawing = drawing;
  const ceiling = state.memory_ceiling_bytes / 2 ** 20;
  const trend = band.length ? memory.trend : null;
  const floors = band.length ? memory.floors : [];
  const lows = band.flatMap(([, low]) => (low === null ? [] : [low])).concat(now ?? []);
  const highs = band.flatMap(([, , high]) => (high === null ? [] : [high])).concat(now ?? []);
  svg.replaceChildren();
  if (lows.length === 0) {
    svg.setAttribute("aria-label", "Memory: nothing is known yet");
    return;
  }
  const [lowest, highest] = [Math.min(...lows), Math.max(...highs)];
  const room = Math.max((highest - lowest) * 0.1, 0.5);
  const [bottom, top] = whole
    ? [0, Math.max(ceiling, highest) * 1.05]
    : [Math.max(lowest - room, 0), highest + room];
  const height = 190;
  const [left, right, foot] = [52, width - 8, height - 20];
  const first = band.length ? band[0][0] : state.elapsed_seconds - 1;
  const last = Math.max(state.elapsed_seconds, first + 1);
  const x = (at) => left + ((at - first) / (last - first)) * (right - left);
  const y = (level) => foot - ((level - bottom) / (top - bottom)) * (foot - 8);
  const point = (at, level) => `${x(at).toFixed(1)},${y(level).toFixed(1)}`;
  let parent = svg;
  const add = (tag, attributes, text) => parent.append(drawn(tag, attributes, text));
  const line = (name, from, to) =>
    add("line", { class: name, x1: x(from[0]), y1: y(from[1]), x2: x(to[0]), y2: y(to[1]) });
  for (const share of [0, 0.5, 1]) {
    const level = bottom + (top - bottom) * share;
    line("grid", [first, level], [last, level]);
    const text = `${digits(level, top - bottom < 10 ? 1 : 0)} MiB`;
    add("text", { x: left - 4, y: y(level) + 4, "text-anchor": "end" }, text);
  }
  for (const [at, anchor] of [[first, "start"], [last, "end"]]) {
    add("text", { x: x(at), y: height - 4, "text-anchor": anchor }, clock(at));
  }
  // What lies outside of the axes, such as a wide interval, is cut off.
  const [inner, tall] = [right - left, foot - 8];
  const plot = { x: left, y: 8, width: inner, height: tall, viewBox: `${left} 8 ${inner} ${tall}` };
  parent = svg.appendChild(drawn("svg", plot));
  for (const part of parts(band)) {
    const there = part.map(([at, , high]) => point(at, high));
    const back = part.map(([at, low]) => point(at, low)).reverse();
    add("polygon", { class: "band", points: [...there, ...back].join(" ") });
  }
  for (const [at, level] of floors) add("circle", { class: "floor", cx: x(at), cy: y(level), r: 2.5 });
  if (trend !== null) {
    const [from, to] = [trend.from_seconds, trend.to_seconds];
    const corners = [
      point(from, trend.lowest[0]),
      point(to, trend.lowest[1]),
      point(to, trend.highest[1]),
      point(from, trend.highest[0]),
    ];
    add("polygon", { class: "interval", points: corners.join(" ") });
    line("trend", [from, trend.middle[0]], [to, trend.middle[1]]);
  }
  parent = svg;
  if (ceiling <= top) {
    line("ceiling", [first, ceiling], [last, ceiling]);
    add("text", { x: left + 4, y: y(ceiling) - 4 }, `ceiling ${digits(ceiling, 0)} MiB`);
  }
  if (now !== null) add("circle", { class: "now", cx: x(last), cy: y(now), r: 4 });
  const growth = trend === null ? "" : `, trend ${digits(trend.slope, 2)} MiB an hour`;
  const label = `Memory of ${one.name}: ${digits(lowest, 0)} to ${digits(highest, 0)} MiB${growth}`;
  svg.setAttribute("aria-label", `${label}; ceiling ${digits(ceiling, 0)} MiB`);
}

/** Return the parts of a band between its interruptions. */
function parts(band) {
  const found = [[]];
  for (const row of band) {
    if (row[1] === null) found.push([]);
    else found.at(-1).push(row);
  }
  return found.filter((part) => part.length > 0);
}

// Streams -----------------------------------------------------------------------------------------

const query = { search: "", sort: "worst", page: 0, all: false };
let answer = null; // to the query; null: the worst ones of the state are shown
let askedAt = 0;
let asked = 0; // numbers the questions: an older answer must not replace a newer one
let debounce = null;

const asking = () => query.all || query.search.trim() !== "" || query.sort !== "worst";

function showStreams() {
  if (asking()) {
    if (Date.now() - askedAt >= REFRESH_MS) ask();
    return;
  }
  const { total, worst } = latest.streams;
  showRows(worst, worst.length < total ? `The worst ${worst.length} of ${count(total)} streams.` : "");
  byId("pages").hidden = true;
}

async function ask() {
  const number = ++asked;
  askedAt = Date.now();
  const { search, sort, page } = query;
  try {
    const response = await fetch(`streams?${new URLSearchParams({ search, sort, page })}`);
    if (!response.ok || number !== asked || !asking()) return; // busy: it is asked again soon
    answer = await response.json();
  } catch {
    return; // the connection's state says so
  }
  const { matched, total, pages, rows } = answer;
  query.page = answer.page;
  showRows(rows, `${count(matched)} of ${count(total)} streams.`);
  byId("pages").hidden = pages < 2;
  say(byId("page"), `page ${answer.page + 1} of ${pages}`);
  byId("previous").disabled = answer.page === 0;
  byId("next").disabled = answer.page >= pages - 1;
}

function showRows(rows, found) {
  say(byId("found"), found);
  const several = latest !== null && latest.streamers.length > 1;
  const create = rowOf("", "#per second", "#silent", "#events", "#held");
  each(byId("stream-rows"), rows, create, (row, one) => {
    const [state, className] = STATES[one.state];
    const why = one.why ? ` (${one.why.replaceAll("_", " ")})` : "";
    fill(
      row,
      [
        `${one.symbol} ${one.stream}${several ? `, ${one.streamer}` : ""}`,
        state + why,
        rate(one.per_second),
        duration(one.silent_seconds),
        count(one.events_total),
        count(one.held),
      ],
      [undefined, className],
    );
  });
}

function changed(changes, delay = 0) {
  Object.assign(query, { page: 0 }, changes);
  clearTimeout(debounce);
  debounce = setTimeout(() => {
    if (asking()) ask();
    else if (latest !== null) showStreams();
  }, delay);
}

byId("query").addEventListener("submit", (event) => event.preventDefault());
byId("search").addEventListener("input", (event) => changed({ search: event.target.value }, 250));
byId("sort").addEventListener("change", (event) => changed({ sort: event.target.value }));
byId("all").addEventListener("click", ({ currentTarget }) => {
  const all = !query.all;
  currentTarget.setAttribute("aria-pressed", String(all));
  changed({ all });
});
byId("previous").addEventListener("click", () => changed({ page: query.page - 1 }));
byId("next").addEventListener("click", () => changed({ page: query.page + 1 }));

// Events ------------------------------------------------------------------------------------------

function showEvents(events) {
  const list = byId("event-rows");
  const newest = Number(list.firstElementChild?.dataset.number ?? 0);
  for (const one of events) {
    if (one.number <= newest) continue;
    const at = one.time * 1000;
    const from = one.streamer ? `${one.streamer}: ` : "";
    const item = element(
      "li",
      { "data-number": one.number },
      element("time", { datetime: new Date(at).toISOString(), title: dated(at) }, timeOf(at)),
      element("span", { class: one.weight }, `${WEIGHTS[one.weight]} ${one.kind}`),
      element("span", {}, one.text.startsWith(from) ? one.text : from + one.text),
    );
    list.prepend(item);
  }
  while (list.children.length > EVENTS_SHOWN) list.lastElementChild.remove();
  // What was there before is read when it is asked for, what comes is told.
  setTimeout(() => byId("event-log").setAttribute("aria-live", "polite"), 0);
}

connect();
tell();
