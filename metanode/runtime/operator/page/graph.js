// Peers on a circle, each as large as its stake; a line is a link. Of other nodes only their own
// word tells the links: the page of one node shows those of that node.

const FIELD = { width: 440, height: 320, radius: 108 };

function edgesOf(nodes, chosen) {
  const edges = new Map();
  for (const node of nodes) {
    if (!node.status) continue;
    for (const peer of node.status.links) {
      const ends = [node.status.node_id, peer].sort();
      const mine = ends.includes(chosen.status.node_id);
      edges.set(ends.join(" "), { ends, mine });
    }
  }
  return [...edges.values()];
}

function drawGraph(nodes, node, names) {
  const me = node.status.node_id;
  const known = new Map(node.status.peers.map((peer) => [peer.node_id, peer]));
  const ids = [...new Set([me, ...known.keys(), ...node.status.links, ...names.ids()])]
    .sort((a, b) => (names.of(a) < names.of(b) ? -1 : 1));
  const edges = edgesOf(nodes, node);
  const silent = new Set(nodes.filter((each) => !each.status && each.id).map((each) => each.id));
  const peers = ids.map((id) => ({ id, name: names.of(id), weight: (known.get(id) || {}).weight || 0,
    listing: (known.get(id) || {}).listing || "unlisted", gone: silent.has(id)
      || (id !== me && !node.status.links.includes(id)), me: id === me }));
  show("graph", [peers, edges], () => {
    const most = Math.max(1, ...peers.map((peer) => peer.weight));
    const at = new Map(peers.map((peer, place) => {
      const angle = 2 * Math.PI * (place / peers.length) - Math.PI / 2;
      return [peer.id, { x: FIELD.width / 2 + FIELD.radius * Math.cos(angle) * (peers.length > 1 ? 1 : 0),
        y: FIELD.height / 2 + FIELD.radius * Math.sin(angle) * (peers.length > 1 ? 1 : 0), angle }];
    }));
    const largest = Math.max(7, Math.min(24, 260 / peers.length));
    return draw("svg", { width: FIELD.width, height: FIELD.height, viewBox: `0 0 ${FIELD.width} ${FIELD.height}`,
      role: "img", "aria-labelledby": "graph-text" },
    edges.filter(({ ends }) => ends.every((end) => at.has(end))).map(({ ends, mine }) => draw("line", {
      class: mine ? "link mine" : "link", x1: at.get(ends[0]).x, y1: at.get(ends[0]).y,
      x2: at.get(ends[1]).x, y2: at.get(ends[1]).y })),
    peers.map((peer) => spot(peer, at.get(peer.id), largest * Math.sqrt(0.25 + 0.75 * peer.weight / most), peers.length)));
  });
  const up = node.status.links.length;
  show("graph-text", [up, edges.length, peers.length], () => [
    `${plural(up, "link is", "links are")} up at ${names.of(me)}, ${plural(edges.length, "link", "links")} in the picture, between ${plural(peers.length, "node", "nodes")}. Size is stake; a dashed circle has no link to the node shown.`]);
}

function spot(peer, place, radius, count) {
  const side = Math.cos(place.angle);
  const kind = `peer${peer.listing === "listed" ? " listed" : ""}${peer.me ? " chosen" : ""}${peer.gone ? " gone" : ""}`;
  const anchor = Math.abs(side) < 0.3 ? "middle" : side > 0 ? "start" : "end";
  const dy = Math.abs(side) < 0.3 ? (Math.sin(place.angle) < 0 ? -radius - 8 : radius + 18) : 4;
  const dx = Math.abs(side) < 0.3 ? 0 : Math.sign(side) * (radius + 6);
  return draw("g", { class: kind },
    draw("title", {}, `${peer.name}: ${peer.id}, ${peer.listing}, stake ${whole(peer.weight)}`),
    draw("circle", { cx: place.x, cy: place.y, r: radius }),
    count <= 24 ? draw("text", { x: place.x + dx, y: place.y + dy, "text-anchor": anchor }, short(peer.name, 12)) : null);
}

function drawStakes(node, names) {
  const holders = new Set(node.status.key ? node.status.key.roster : []);
  const rows = [...node.status.peers].sort(byName(names)).map((peer) => [names.of(peer.node_id), peer.listing,
    whole(peer.weight), holders.has(peer.node_id) ? "yes" : "no",
    peer.self ? "own" : peer.linked ? "up" : "down", peer.standing]);
  show("stakes", rows, () => (rows.length
    ? table(["node", "listing", "stake", "share", "link", "standing"], rows, "Stakes, listings and links of the peers")
    : none("No peer is known yet.")));
}
