"use strict";

// The whole run is here: its first state, its steps as text, and how many of them are taken.
const run = { first: 0, steps: [], position: 0, loop: null, end: "" };
let about = null;
let runs = [];
let asked = 0;

const get = (id) => document.getElementById(id);

// Make an element. Strings become text, never markup: names and formulas come from a user's file.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

async function ask(question) {
  const answer = await fetch("/ask" + location.search, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

// Do something that asks the server; what goes wrong is one line at the top.
async function attempt(work) {
  try {
    await work();
    get("error").textContent = "";
  } catch (error) {
    get("error").textContent = error instanceof TypeError
      ? "The explorer does not answer: is it still running?" : error.message;
  }
}

const show = () => attempt(async () => {
  const mine = ++asked;
  const { first, steps, position } = run;
  const told = await ask({ ask: "at", first, steps, position, only: get("only").value });
  if (mine === asked) draw(told);  // an answer that a later question has overtaken is dropped
});

function go(position) {
  run.position = Math.max(0, Math.min(position, total()));
  show();
}

const total = () => (about.mode === "trace" ? about.total : run.steps.length);

function take(step) {
  if (run.steps[run.position] !== step) {  // another way than the run at hand
    run.steps = [...run.steps.slice(0, run.position), step];
    run.loop = null;
    run.end = "";
  }
  go(run.position + 1);
}

function draw(told) {
  about.total = told.total;
  get("status").textContent = `step ${told.position} of ${told.total}`
    + (told.position ? `: ${lastStep(told)}` : ", the first state");
  get("back").disabled = get("restart").disabled = told.position === 0;
  get("forward").disabled = told.position === told.total;
  get("go").max = told.total;
  get("go").value = told.position;
  const focused = ["enabled", "lanes"].find((id) => get(id).contains(document.activeElement));
  drawLanes(told);
  get("tables").replaceChildren(...told.tables.map(stateTable));
  if (about.mode === "trace") drawLine(told.line);
  else {
    drawActions(told.actions);
    drawProperties(told.properties);
  }
  if (focused) refocus(focused);
}

// What had the focus was drawn anew: go on where one was.
function refocus(id) {
  const next = get(id).querySelector(id === "lanes" ? ".here button" : "button") || get("restart");
  next.focus({ preventScroll: true });
}

const lastStep = (told) => told.steps[told.position - 1 - told.begin].text;

// Each step is a row, with what it changed, in the column of who acted.
function drawLanes(told) {
  const head = make("tr", {}, make("th", { scope: "col" }, "step"),
    ...told.lanes.map((lane) => make("th", { scope: "col" }, lane)));
  const rows = [];
  for (const step of told.steps) {
    if (run.loop === step.number - 1) {
      rows.push(make("tr", {}, make("td", { colspan: told.lanes.length + 1, class: "loop" },
        "from here for ever:")));
    }
    const current = step.number === told.position;
    const number = make("button", {
      type: "button", "aria-label": `go to step ${step.number}`,
      "aria-current": current ? "step" : null, onclick: () => go(step.number),
    }, String(step.number));
    rows.push(make("tr", { class: current ? "here" : step.number > told.position ? "ahead" : "" },
      make("th", { scope: "row" }, number),
      ...told.lanes.map((lane) => (lane === step.lane
        ? make("td", { "data-lane": lane }, ...stepText(step)) : make("td", {})))));
  }
  if (run.end && told.begin + told.steps.length === told.total) {
    rows.push(make("tr", {}, make("td", { colspan: told.lanes.length + 1, class: "loop" }, run.end)));
  }
  get("lanes").replaceChildren(make("table", { class: "lanes" },
    make("thead", {}, head), make("tbody", {}, ...rows)));
  const end = told.begin + told.steps.length;
  get("window").textContent = told.steps.length < told.total
    ? `Steps ${told.begin + 1} to ${end} of ${told.total} are shown.` : "";
  const here = get("lanes").querySelector(".here");
  if (here) {  // only the lanes scroll, not the page
    const box = get("lanes");
    box.scrollTop = Math.max(0, here.offsetTop - box.clientHeight / 2);
  }
}

function stepText(step) {
  return [step.row ? make("a", { href: `#row-${step.row}` }, step.text) : step.text,
    ...step.changes.map((change) => make("div", { class: "change" },
      `${change.cell}: ${change.before} → ${change.after}`))];
}

function stateTable(told) {
  const head = make("tr", {}, make("th", { scope: "col" }, told.title || "no index"),
    ...told.columns.map((column) => make("th", { scope: "col" }, column)));
  const rows = told.rows.map((row) => make("tr", {},
    make("th", { scope: "row", title: row.doc || null }, row.label || "value"),
    ...row.cells.map(stateCell)));
  const left = told.left ? make("p", { class: "soft" }, `${told.left} more rows`) : null;
  return make("div", {}, make("h3", {}, told.title || "without an index"),
    told.doc ? make("p", { class: "soft" }, told.doc) : null,
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": told.title || "cells without an index" },
      make("table", { class: "state" }, make("thead", {}, head), make("tbody", {}, ...rows))),
    left);
}

function stateCell(cell) {
  const blank = ["False", "none", ""].includes(cell.value);
  if (cell.was === undefined) return make("td", { class: blank ? "soft" : null }, cell.value);
  return make("td", { class: "changed" }, cell.value, make("div", {}, `was ${cell.was}`));
}

function drawActions(actions) {
  const enabled = actions.filter((action) => action.enabled.length).map((action) => make("li", {},
    make("b", {}, action.name), " ", rowLink(action.name),
    make("div", { class: "controls" }, ...action.enabled.map(stepButton))));
  get("enabled").replaceChildren(enabled.length
    ? make("ul", { class: "plain" }, ...enabled) : make("p", {}, "No action is enabled."));
  const open = new Set([...get("held").querySelectorAll("details[open]")].map((d) => d.dataset.name));
  const held = actions.filter((action) => action.held.length).map((action) => {
    const count = action.held.length + action.left;
    const listed = action.held.map((choice) => make("li", {}, make("code", {}, choice.text),
      make("ul", {}, ...choice.false.map((text) => make("li", {}, make("code", {}, text))))));
    const left = action.left ? make("p", { class: "soft" }, `${action.left} more: name one above`) : null;
    return make("details", { "data-name": action.name, open: open.has(action.name) ? "" : null },
      make("summary", {}, `${action.name} (${count})`),
      make("p", {}, rowLink(action.name)), make("ul", { class: "plain" }, ...listed), left);
  });
  get("held").replaceChildren(...held);
}

// The name stands above the buttons: they show the parameters, if there are any.
function stepButton(text) {
  const [name, inside] = [text.slice(0, text.indexOf("(")), text.slice(text.indexOf("(") + 1, -1)];
  return make("button", { type: "button", class: "step", "data-step": text,
    "aria-label": inside ? `${inside} of ${name}` : null, onclick: () => take(text) }, inside || text);
}

const rowLink = (name) => make("a", { href: `#row-${name}`, class: "row-link", "aria-label": `${about.rows[name].where}, of ${name}` },
  about.rows[name].where);

function drawProperties(properties) {
  get("properties").replaceChildren(make("ul", { class: "plain" }, ...properties.map((told) =>
    make("li", { class: told.bad ? "bad" : null }, make("b", {}, told.name),
      ` (${told.kind.replace("_", " ")}): ${told.says} `,
      make("code", {}, told.text), told.doc ? ` – ${told.doc}` : ""))));
}

function drawLine(line) {
  if (!line.where) {
    get("line").replaceChildren(make("p", {}, "Before the first line."));
    return;
  }
  const reads = make("ul", {}, ...line.reads.map((text) => make("li", {}, make("code", {}, text))));
  get("line").replaceChildren(make("p", {}, make("code", {}, line.where),
    line.input ? ` under the input ${line.input}` : "", line.sends ? `, sends ${line.sends}` : ""),
  make("details", {}, make("summary", {}, `what it has read (${line.reads.length})`), reads));
}

function drawRows() {
  get("rows").replaceChildren(...Object.entries(about.rows).map(([name, row]) => {
    const list = (title, texts) => (texts.length
      ? [make("dt", {}, title), make("dd", {}, ...texts.map((t) => make("code", { class: "line" }, t)))] : []);
    return make("article", { id: `row-${name}`, tabindex: -1 },
      make("h3", {}, `${name}: ${row.where}`),
      make("dl", {}, ...list("event", [row.event]), ...list("moves", row.moves ? [row.moves] : []),
        ...list("only if", row.guards), ...list("added here", row.added),
        ...list("not asked here", row.dropped), ...list("where", row.means),
        ...list("then", row.effects), ...list("fair", row.fair ? ["not put off for ever"] : []),
        ...(row.why ? [make("dt", {}, "why"), make("dd", {}, row.why)] : [])));
  }));
}

function load({ first, steps, loop, end }) {
  Object.assign(run, { first, steps, loop, end, position: 0 });
  get("starts").value = first < about.starts.length ? String(first) : "";
  show();
}

async function runChecks() {
  get("check").disabled = true;
  get("checked").textContent = "The checks are running …";
  await attempt(async () => {
    const told = await ask({ ask: "checks" });
    runs = told.runs;
    get("checked").textContent = told.summary;
    get("runs").replaceChildren(make("option", { value: "" }, "choose a run"),
      ...runs.map((each, number) => make("option", { value: number },
        `${each.what} of ${each.name}: ${each.length}`)));
    get("runs-label").hidden = false;
  });
  if (get("error").textContent) get("checked").textContent = "";
  get("check").disabled = false;
}

async function begin() {
  about = await ask({ ask: "about" });
  document.title = `${about.title} – explorer`;
  get("title").textContent = about.title;
  get("doc").textContent = about.doc;
  get("size").textContent = about.size;
  drawRows();
  if (about.mode === "trace") {
    get("refused").hidden = !about.refused;
    get("refused").textContent = about.refused ? `Refused: ${about.refused}` : "";
    get("actions-part").hidden = get("properties-part").hidden = true;
    get("two").className = "";
  } else {
    get("checks-box").hidden = false;
    get("starts-box").hidden = about.starts.length < 2;
    get("starts").replaceChildren(...about.starts.map((text, number) =>
      make("option", { value: number }, text)));
    if (about.more_starts) get("starts").append(make("option", { value: "", disabled: "" }, "…"));
  }
  get("restart").addEventListener("click", () => go(0));
  get("back").addEventListener("click", () => go(run.position - 1));
  get("forward").addEventListener("click", () => go(run.position + 1));
  get("go").addEventListener("change", () => go(Number(get("go").value) || 0));
  get("only").addEventListener("input", show);
  get("starts").addEventListener("change", () => load(
    { first: Number(get("starts").value), steps: [], loop: null, end: "" }));
  get("check").addEventListener("click", runChecks);
  get("runs").addEventListener("change", () => {
    if (get("runs").value !== "") load(runs[Number(get("runs").value)]);
  });
  await show();
}

attempt(begin);
