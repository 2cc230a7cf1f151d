// Plots of what moves, in plain SVG. Time runs to the right and ends now.

// As wide as its place, so that its letters are not made smaller than those of the page.
const PLOT = { width: 560, height: 120, left: 40, right: 8, top: 10, bottom: 22 };
const SPAN_S = 300;

const across = (at, now, left = PLOT.left) =>
  left + (PLOT.width - left - PLOT.right) * (1 - (now - at) / SPAN_S);
const up = (value, most) =>
  PLOT.height - PLOT.bottom - (PLOT.height - PLOT.top - PLOT.bottom) * (value / most);

function frame(title, says, most, unit, now, left, ...inside) {
  const base = PLOT.height - PLOT.bottom;
  const minutes = (PLOT.width < 460 ? [4, 2, 0] : [5, 4, 3, 2, 1, 0]).map((back) => [across(now - back * 60, now, left), back]);
  return make("figure", { class: "plot" }, make("figcaption", {}, make("b", {}, title), ` ${says}`),
    draw("svg", { width: PLOT.width, height: PLOT.height, viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": `${title} ${says}` },
      draw("line", { class: "axis", x1: left, y1: base, x2: PLOT.width - PLOT.right, y2: base }),
      most === null ? null : [draw("line", { class: "axis", x1: PLOT.left, y1: PLOT.top, x2: PLOT.width - PLOT.right, y2: PLOT.top }),
        draw("text", { class: "soft", x: PLOT.left - 6, y: PLOT.top + 5, "text-anchor": "end" }, `${most}${unit}`),
        draw("text", { class: "soft", x: PLOT.left - 6, y: base + 2, "text-anchor": "end" }, `0${unit}`)],
      minutes.map(([x, back]) => draw("text", { class: "soft", x, y: PLOT.height - 5,
        "text-anchor": back === 0 ? "end" : back === 5 ? "start" : "middle" }, back ? `${back} min` : "now")),
      ...inside));
}

function stepped(samples, name, now, most) {
  let path = "";
  let before = null;
  for (const sample of samples) {
    const [x, y] = [across(sample.at, now).toFixed(1), up(Math.min(sample[name], most), most).toFixed(1)];
    const gap = before === null || sample.at - before > 5;  // nothing was counted meanwhile
    path += gap ? `M${x} ${y}` : `H${x}V${y}`;
    before = sample.at;
  }
  return draw("path", { class: "line", d: path || "M0 0" });
}

const nice = (value) => [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
  .find((each) => each >= value) || Math.ceil(value);

function drawPlots(node, now) {
  const room = get("plots").clientWidth;
  PLOT.width = room < 760 ? Math.max(280, room) : Math.floor((room - 32) / 2);
  const recent = (list) => list.filter((each) => each.at >= now - SPAN_S && each.at <= now + 1);
  const [samples, rounds] = [recent(node.samples), recent(node.rounds)];
  const period = node.status.periods.round_s;
  const last = samples[samples.length - 1] || { links: 0, queue: 0 };
  const links = nice(Math.max(3, ...samples.map((each) => each.links)));
  const queue = nice(Math.max(5, ...samples.map((each) => each.queue)));
  const signed = rounds.filter((each) => each.outcome === "signed");
  const slowest = nice(Math.max(1, ...rounds.map((each) => each.seconds)));
  const middle = signed.map((each) => each.seconds).sort((a, b) => a - b)[Math.floor(signed.length / 2)];
  const busyTime = stretches(node.phases, now);
  get("plots").replaceChildren(
    frame("Round time", signed.length ? `${plural(signed.length, "payout", "payouts")} signed, the middle one after ${middle.toFixed(2)} s of ${period} s`
      : "no payout was signed", slowest, " s", now, PLOT.left,
    rounds.map((each) => draw("circle", { class: each.outcome === "signed" ? "dot" : "dot miss", r: 4,
      cx: across(each.at, now).toFixed(1), cy: up(Math.min(each.seconds, slowest), slowest).toFixed(1) },
    draw("title", {}, `${clockTime(each.at)}: ${each.outcome} after ${each.seconds} s`)))),
    phasePlot(busyTime, now),
    frame("Links", `${last.links} up`, links, "", now, PLOT.left, stepped(samples, "links", now, links)),
    frame("Queue", `${plural(last.queue, "input waits", "inputs wait")}`, queue, "", now, PLOT.left, stepped(samples, "queue", now, queue)));
}

// How long each phase lasted, as [phase, from, to], within the span.
function stretches(phases, now) {
  return phases.map((move, place) => {
    const next = phases[place + 1];
    return [move.phase, Math.max(move.at, now - SPAN_S), next ? next.at : now];
  }).filter(([phase, from, to]) => phase !== "Idle" && to > from);
}

const LANES = ["Keygen", "Proposing", "SetBuilding", "ThresholdSet", "Signing", "Cooldown", "Regroup"];

function phasePlot(found, now) {
  const high = (PLOT.height - PLOT.top - PLOT.bottom) / LANES.length;
  const says = found.length ? `the last was ${found[found.length - 1][0]}` : "Idle all the time";
  const left = 84;
  return frame("Phases", says, null, "", now, left,
    LANES.map((lane, place) => [
      draw("text", { class: "soft lane", x: 0, y: PLOT.top + high * (place + 0.5) + 4 }, lane),
      found.filter(([phase]) => phase === lane).map(([phase, from, to]) => draw("rect", {
        class: "run", x: across(from, now, left).toFixed(1), y: (PLOT.top + high * place + 1).toFixed(1),
        width: Math.max(1.5, across(to, now, left) - across(from, now, left)).toFixed(1), height: (high - 2).toFixed(1) },
      draw("title", {}, `${phase} from ${clockTime(from)}, ${(to - from).toFixed(2)} s`)))]));
}
