// The way of a deposit, from the first sighting to a final payout.

const WAY = ["seen", "mined", "in line", "agreed", "signed", "sent", "final"];
const PLACE = { confirmations: 1, maturity: 1, sighting: 1, index: 1, fees: 2, round: 2, signature: 3,
  broadcast: 4, daemon: 4, block: 5 };
const PAID = { UNSIGNED: 3, SIGNED: 4, REFUSED: 4, BROADCAST: 5, COMPLETED: 6, REVERTED: 5, REORGED: 4 };
const SHOWN = 50;

function track(place, stopped) {
  return make("ol", { class: stopped ? "track stopped" : "track" }, WAY.map((name, number) => make("li", {
    class: number === place && place < WAY.length - 1 ? "here" : number <= place ? "done" : null,
    "aria-current": number === place ? "step" : null }, name)));
}

// Deposits of a node: what is not in a block yet, what waits, and what payouts have settled.
function depositsOf(node) {
  const { status, amounts } = node;
  const found = new Map();
  for (const seen of status.sightings) {
    found.set(seen.outpoint, { place: 0, stopped: false,
      text: `not in a block yet; ${plural(seen.witnesses, "node saw", "nodes saw")} it` });
  }
  for (const payout of status.payouts) {
    for (const outpoint of payout.transfers) {
      found.set(outpoint, { place: PAID[payout.state] ?? 3,
        stopped: ["REFUSED", "REORGED", "REVERTED"].includes(payout.state),
        text: `payout ${short(payout.txid, 16)}: ${payout.state.toLowerCase()}${payout.reason ? `, ${payout.reason}` : ""}` });
    }
  }
  for (const waits of status.deposits) {
    amounts.set(waits.outpoint, waits.amount);
    const place = PLACE[waits.waits_for];
    found.set(waits.outpoint, { place: place ?? 1, stopped: place === undefined || waits.waits_for === "daemon",
      text: waits.reason });
  }
  for (const note of status.recent) {
    if (note.event === "deposit.confirmed" || note.event === "deposit.waiting") amounts.set(note.outpoint, note.amount);
  }
  return [...found].map(([outpoint, told]) => ({ outpoint, amount: amounts.get(outpoint), ...told })).reverse();
}

function drawMoney(node, names) {
  const deposits = depositsOf(node);
  deposits.sort((a, b) => (a.place === WAY.length - 1) - (b.place === WAY.length - 1));
  show("deposits", deposits, () => {
    if (!deposits.length) return none("No deposit is known. Users pay to the custody address, with a memo.");
    const rows = deposits.slice(0, SHOWN).map((each) => [mono(each.outpoint, 12),
      each.amount === undefined ? "" : whole(each.amount), track(each.place, each.stopped), each.text]);
    return [table(["deposit", "amount", "way", "where it stands"], rows, "Deposits, from sighting to final", "cards"),
      deposits.length > SHOWN ? none(`${deposits.length - SHOWN} more are not shown.`) : null];
  });
  const payouts = [...node.status.payouts].reverse();
  show("payouts", payouts, () => (payouts.length ? table(["payout", "state", "signed by", "in, out", "versions"],
    payouts.slice(0, SHOWN).map((each) => [mono(each.txid, 16), each.state + (each.reason ? `: ${each.reason}` : ""),
      each.signers.map(names.of).join(", "), `${each.inputs}, ${each.outputs}`, `${each.version + 1} of ${each.versions}`]),
    "Payouts, the newest first", "cards") : none("No payout yet.")));
}
