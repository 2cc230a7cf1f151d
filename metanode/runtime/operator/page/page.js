// One stream of documents, read with the token in a header; each document is drawn as it comes.

const SILENT_S = 6;  // so long without a document, and the node is called silent
const AGAIN_MS = 2000;
const KEPT = 3000;
const nodes = new Map();
const page = { chosen: null, offset: 0, heard: null, order: [], over: false, said: "" };

const token = () => new URLSearchParams(location.hash.slice(1)).get("token") || "";

// Names of node ids: those that this page knows, else the beginning of the id.
function naming(all) {
  const known = new Map(all.filter((node) => node.id && all.length > 1).map((node) => [node.id, node.name]));
  const period = (all.find((node) => node.status) || { status: { periods: { round_s: 60 } } }).status.periods.round_s;
  return { of: (id) => known.get(id) || short(id, 8), ids: () => known.keys(), patience: Math.max(3, period / 2) };
}

function take(told) {
  page.heard = performance.now();
  page.offset = told.at - page.heard / 1000;
  page.order = told.nodes.map((each) => each.name);
  for (const each of told.nodes) {
    const node = nodes.get(each.name) || { name: each.name, id: null, phases: [], samples: [], rounds: [], last: null, amounts: new Map() };
    nodes.set(each.name, node);
    Object.assign(node, { id: each.node_id, fault: each.fault, status: each.status, readiness: each.readiness });
    if (each.status) node.last = each.status;
    for (const move of each.moves) {
      const list = { phase: node.phases, sample: node.samples, round: node.rounds }[move.kind];
      if (list) list.push(move);
      if (list && list.length > KEPT) list.shift();
    }
  }
  if (!page.order.includes(page.chosen)) [page.chosen] = page.order;
  say();
  redraw();
}

// The live region says what changed for the worse or to an end, and nothing else.
function say() {
  const all = page.order.map((name) => nodes.get(name));
  const about = (node) => (page.order.length > 1 ? `${node.name}: ` : "");
  const words = all.map((node) => {
    if (!node.status) return `${about(node)}does not answer`;
    const reasons = node.readiness.reasons.map((each) => each.text).join("; ");
    return about(node) + (node.readiness.ready ? "ready" : `not ready: ${reasons}`);
  }).join(". ");
  if (words !== page.said) get("said").textContent = words;
  page.said = words;
}

function redraw() {
  const node = nodes.get(page.chosen);
  const all = page.order.map((name) => nodes.get(name));
  const names = naming(all);
  drawNodes(all);
  const alone = all.length === 1;
  document.title = alone ? "Metanode" : "Metanodes";
  show("title", alone, () => [alone ? "Metanode" : "Metanodes of one network"]);
  get("away").hidden = Boolean(node.status);
  show("away", [node.name, node.fault], () => [make("p", {}, `${node.name} does not answer: ${node.fault}`),
    node.last ? make("p", {}, "What is shown below is what it said last.") : null]);
  if (!node.status && !node.last) return;
  const drawn = node.status ? node : { ...node, status: node.last };
  const { status } = drawn;
  show("who", [node.name, status.node_id], () => [alone ? "" : `${node.name}, `, make("code", {}, status.node_id)]);
  drawReady(node);
  drawFacts(status);
  drawPhases(drawn, names);
  drawLifecycle(drawn);
  drawMoney(drawn, names);
  drawGraph(all, drawn, names);
  drawStakes(drawn, names);
  drawPlots(drawn, now());
  drawNight(status, names);
  drawChain(status);
  drawRefused(status, names);
  drawRecent(status);
}

const now = () => page.offset + performance.now() / 1000;

function drawReady(node) {
  get("ready").hidden = !node.status;
  show("ready", [node.readiness, Boolean(node.status)], () => {
    if (!node.status) return null;
    if (node.readiness.ready) return make("p", { class: "good" }, "Ready: this node can take part in signing.");
    return make("div", { class: "alarm" }, make("p", {}, "Not ready: this node cannot take part in signing."),
      make("ul", {}, node.readiness.reasons.map((each) => make("li", {}, each.text))));
  });
}

function drawFacts(status) {
  const final = status.payouts.filter((each) => each.state === "COMPLETED").length;
  const listed = status.peers.filter((each) => each.listing === "listed").length;
  const facts = [["phase", status.phase], ["links", status.links.length], ["peers listed", listed],
    ["block", status.chain ? whole(status.chain.height) : "none"], ["epoch", status.key ? status.key.epoch : "no key"],
    ["payouts final", `${final} of ${status.payouts.length}`], ["deposits wait", status.deposits.length],
    ["stake online", `${status.weight.online_percent} %`]];
  show("facts", facts, () => facts.map(([name, value]) => make("li", {}, make("b", {}, value), make("span", {}, name))));
}

function drawNodes(all) {
  get("network").hidden = all.length < 2;
  if (all.length < 2) return;
  const rows = all.map((node) => [node.name, node.status ? node.readiness.ready ? "ready" : "not ready" : "away",
    ...(node.status ? [node.status.phase, node.status.links.length, node.status.chain ? node.status.chain.height : "none",
      node.status.payouts.filter((each) => each.state === "COMPLETED").length] : ["", "", "", ""])]);
  const focused = get("nodes").contains(document.activeElement) ? document.activeElement.textContent : null;
  show("nodes", [rows, page.chosen], () => table(["node", "state", "phase", "links", "block", "final"],
    rows.map(([name, state, ...rest]) => [
      make("button", { type: "button", "aria-pressed": name === page.chosen, onclick: () => choose(name) }, name),
      make("span", { class: { ready: "good", away: "bad" }[state] || "warn" }, state), ...rest]),
    "All nodes of the network"));
  if (focused) {  // the button that had the focus was drawn anew
    const again = [...get("nodes").querySelectorAll("button")].find((each) => each.textContent === focused);
    if (again) again.focus({ preventScroll: true });
  }
}

function choose(name) {
  page.chosen = name;
  redraw();
}

function drawNight(status, names) {
  const { key, regroup } = status;
  const list = (found) => Object.entries(found || {}).map(([id, count]) => `${names.of(id)} (${count})`).join(", ") || "nobody";
  show("night", [key, regroup], () => (key ? pairs({
    "custody address": make("code", {}, key.custody_address), "epoch": key.epoch,
    "holders": `${key.roster.length}: ${key.roster.map(names.of).join(", ")}`,
    "who can sign": `any ${key.threshold} of them, while at most ${key.byzantine} lie`,
    "this node": key.holds_share ? "holds a share" : "holds no share",
    "night": regroup.night === null || regroup.night === undefined ? "none begun" : `night ${regroup.night}, ${plural(regroup.statements, "statement", "statements")}`,
    "new shares": regroup.due ? "are due" : regroup.drafts.length ? regroup.drafts.map((d) => `epoch ${d.epoch}: ${d.ready} of ${d.members} ready`).join("; ") : "none are made",
    "candidates": regroup.candidates.map(names.of).join(", ") || "nobody",
    "missed": list(regroup.missed), "withheld messages": list(regroup.withheld),
    "barred stakes": regroup.barred.map((each) => short(each, 16)).join(", ") || "none",
  }) : [none("There is no key yet."), pairs({ "key generation": status.keygen.mode, "members": status.keygen.members })]));
}

function drawChain(status) {
  show("chain", [status.chain, status.chain_fault, status.stake], () => [
    status.chain_fault ? make("div", { class: "alarm" }, make("p", {}, `The chain daemon is away: ${status.chain_fault}`)) : null,
    pairs({
      "daemon": status.chain_fault ? "away" : "answers",
      "newest block": status.chain ? make("span", {}, `${whole(status.chain.height)}, `, mono(status.chain.block, 16)) : "none is read yet",
      "own stake": `${status.stake.state}${status.stake.amount === null ? "" : `, ${whole(status.stake.amount)} base units`}`,
      "its output": mono(status.stake.outpoint, 20),
    })]);
}

function drawRefused(status, names) {
  const { exclusions, blocked, refused } = status;
  show("refused", [exclusions, blocked, refused], () => {
    const lines = [
      ...blocked.map((each) => ["bad", `${names.of(each.node_id)} is blocked until ${clockTime(each.until)}: ${each.reason}`]),
      ...exclusions.map((each) => [each.until === null ? "warn" : "bad",
        `${names.of(each.who)}: ${each.why}, ${Math.round(each.points)} points, link ${each.link}${each.until === null ? "" : `, until ${clockTime(each.until)}`}`]),
    ];
    const counts = Object.entries(refused).map(([reason, count]) => [reason, whole(count)]);
    return [
      lines.length ? make("ul", { class: "plain" }, lines.map(([kind, text]) => make("li", { class: kind }, text))) : none("Nobody is excluded or blocked."),
      counts.length ? table(["connections refused", "count"], counts, "Refused connections by reason") : none("No connection was refused."),
    ];
  });
}

function drawRecent(status) {
  const notes = status.recent.slice(-14).reverse();
  show("recent", notes, () => (notes.length ? make("ul", { class: "plain" }, notes.map(({ at, event, ...rest }) => make("li", {},
    make("span", { class: "soft" }, `${clockTime(at)} `), make("b", {}, event), " ",
    Object.entries(rest).map(([name, value]) => `${name} ${short(typeof value === "string" ? value : JSON.stringify(value), 44)}`).join(", "))))
    : none("Nothing was noted yet.")));
}

// --- the stream ---

function connection(up, text) {
  get("lamp").className = up ? "lamp on" : "lamp off";
  if (get("connected").textContent !== text) get("connected").textContent = text;
  if (up) return;
  get("ready").hidden = true;  // what it said last is no word on now
  get("away").hidden = false;
  show("away", text, () => [make("p", {}, text)]);
  if (page.said !== text) get("said").textContent = page.said = text;
}

async function read(controller) {
  const answer = await fetch("/feed", { headers: { Authorization: `Bearer ${token()}` }, signal: controller.signal, cache: "no-store" });
  if (answer.status === 401) {
    page.over = true;
    throw new Error("The token is not that of the node that answers here: it was started again. Run `metanode page` for the new address.");
  }
  if (!answer.ok) throw new Error((await answer.json()).error);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new TypeError("ended");
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) if (event.startsWith("data: ")) take(JSON.parse(event.slice(6)));
  }
}

async function follow() {
  while (!page.over) {
    const [controller, begun] = [new AbortController(), performance.now()];
    const watch = setInterval(() => {
      if (performance.now() - Math.max(begun, page.heard ?? 0) > SILENT_S * 1000) controller.abort();
    }, 500);
    try {
      await read(controller);
    } catch (error) {
      const silent = error instanceof TypeError || error.name === "AbortError";
      const last = page.heard === null ? "" : ` The last word came at ${clockTime(page.offset + page.heard / 1000)}.`;
      connection(false, silent ? `The node does not answer: it has ended, or hangs.${last} \`metanode page\` tells the address of one that runs.` : error.message);
    }
    clearInterval(watch);
    if (!page.over) await new Promise((later) => { setTimeout(later, AGAIN_MS); });
  }
}

function tick() {
  if (page.heard === null) return;
  const silence = (performance.now() - page.heard) / 1000;
  if (silence > SILENT_S) return;
  connection(true, `Connected; ${clockTime(now())}`);
  const node = nodes.get(page.chosen);
  if (node && node.status) drawClock(node, now());
}

get("skip").addEventListener("click", () => get("main").focus());
addEventListener("hashchange", () => location.reload());
if (token()) {
  setInterval(tick, 250);
  follow();
} else {
  connection(false, "The address has no token: run `metanode page` and open what it prints.");
}
