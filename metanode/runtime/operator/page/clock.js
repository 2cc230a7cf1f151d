// The round clock: a dial that turns once a round. Blue is where the node was busy with this round.

const DIAL = 84;

function arc(from, to, radius) {
  const point = (share) => {
    const angle = 2 * Math.PI * (share - 0.25);
    return `${(100 + radius * Math.cos(angle)).toFixed(2)} ${(100 + radius * Math.sin(angle)).toFixed(2)}`;
  };
  const end = Math.min(to, from + 0.9999);
  return `M${point(from)}A${radius} ${radius} 0 ${end - from > 0.5 ? 1 : 0} 1 ${point(end)}`;
}

// The stretches of a round in which a node was in another phase than Idle, as shares of the round.
function busy(phases, begin, period, now) {
  const found = [];
  phases.forEach((move, place) => {
    const next = phases[place + 1];
    const from = Math.max(move.at, begin);
    const to = Math.min(next ? next.at : now, begin + period, now);
    if (move.phase !== "Idle" && to > from) {
      found.push({ phase: move.phase, from: (from - begin) / period, to: (to - begin) / period });
    }
  });
  return found;
}

function drawClock(node, now) {
  const { status } = node;
  const period = status.periods.round_s;
  const begin = Math.floor(now / period) * period;
  const share = (now - begin) / period;
  const angle = 2 * Math.PI * (share - 0.25);
  const text = `${(now - begin).toFixed(1)} s`;
  const worked = busy(node.phases, begin, period, now);
  get("clock").replaceChildren(draw("svg",
    { width: 200, height: 200, viewBox: "0 0 200 200", role: "img", "aria-label": `round ${status.round} of ${period} s` },
    draw("circle", { class: "dial", cx: 100, cy: 100, r: DIAL }),
    share > 0.002 ? draw("path", { class: "past", d: arc(0, share, DIAL) }) : null,
    worked.map((each) => draw("path", { class: "worked", d: arc(each.from, Math.max(each.to, each.from + 0.004), DIAL) },
      draw("title", {}, each.phase))),
    draw("line", { class: "hand", x1: 100 + 62 * Math.cos(angle), y1: 100 + 62 * Math.sin(angle),
      x2: 100 + 94 * Math.cos(angle), y2: 100 + 94 * Math.sin(angle) }),
    draw("text", { class: "big", x: 100, y: 92, "text-anchor": "middle" }, status.phase),
    draw("text", { x: 100, y: 112, "text-anchor": "middle" }, text),
    draw("text", { class: "soft", x: 100, y: 130, "text-anchor": "middle" }, `of ${period} s`)));
}

// The phase of each node, by its own word or by its last ping.
function drawPhases(node, names) {
  const peers = [...node.status.peers].sort(byName(names)).map((peer) => ({
    name: names.of(peer.node_id), phase: peer.self ? node.status.phase : peer.phase,
    how: peer.self ? "this node" : `ping ${lasting(peer.last_ping_s)} ago`,
    health: peer.health, late: !peer.self && peer.last_ping_s > names.patience,
  }));
  show("clock-text", node.status.round, () => [`Round ${node.status.round}. Rounds begin at the same time at all nodes.`]);
  show("phases", peers, () => (peers.length ? table(["node", "phase", "health", "heard"], peers.map((peer) => [
    peer.name, peer.phase,
    make("span", { class: peer.health === "ok" ? "good" : "bad" }, peer.health),
    make("span", { class: peer.late ? "bad" : null }, peer.late ? `silent: ${peer.how}` : peer.how),
  ]), "Phase and health of each node") : none("No ping was heard yet.")));
}

function drawLifecycle(node) {
  const { phase, peers } = node.status;
  const count = {};
  for (const peer of peers) {
    const where = peer.self ? phase : peer.phase;
    count[where] = (count[where] || 0) + 1;
  }
  const key = [phase, count];
  if (shown.get("lifecycle") === JSON.stringify(key)) return;
  shown.set("lifecycle", JSON.stringify(key));
  for (const state of document.querySelectorAll("#lifecycle .state")) {
    const name = state.id.slice("state-".length);
    state.classList.toggle("lit", name === phase);
    const number = count[name] || 0;
    state.querySelector(".count").textContent = number ? plural(number, "node", "nodes") : "";
  }
  const ways = [];
  for (const arrow of document.querySelectorAll("#lifecycle .arrow")) {
    const open = arrow.dataset.from === phase;
    arrow.classList.toggle("open", open);
    if (open) ways.push(`${arrow.dataset.events} to ${arrow.dataset.to}`);
  }
  const here = get(`state-${phase}`);
  if (here && here.dataset.loops) ways.push(`${here.dataset.loops}, which stays`);
  get("lifecycle-now").replaceChildren(make("b", {}, phase), `. From here: ${ways.join("; ")}.`);
}
