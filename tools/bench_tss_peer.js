// CPU seconds of the npm package @silencelaboratories/dkls-wasm-ll-node for one setting, as JSON:
//   node tools/bench_tss_peer.js MODULE THRESHOLD PARTIES KEYGEN_RUNS SIGN_RUNS
// All parties run one after another in this process, as in bench_tss.py; each call is timed alone.
"use strict";

const [modulePath, ...numbers] = process.argv.slice(2);
const [threshold, parties, keygenRuns, signRuns] = numbers.map(Number);
const { KeygenSession, SignSession, Keyshare } = require(modulePath);
const digest = require("crypto").createHash("sha256").update("benchmark").digest();

let spent = 0;
function timed(call) {
  const before = process.cpuUsage();
  const result = call();
  const { user, system } = process.cpuUsage(before);
  spent += (user + system) / 1e6;
  return result;
}

const toAll = (messages, me) => messages.filter((m) => m.from_id !== me).map((m) => m.clone());
const toMe = (messages, me) => messages.filter((m) => m.to_id === me).map((m) => m.clone());
const range = (count) => [...Array(count).keys()];

// Give each session what it is to receive; return what all of them send.
function step(sessions, received, route, extra) {
  return sessions.flatMap((session, me) => {
    const messages = route(received, me);
    return timed(() => session.handleMessages(messages, extra)) || [];
  });
}

function keygen() {
  const sessions = range(parties).map((me) =>
    timed(() => new KeygenSession(parties, threshold, me)));
  const first = sessions.map((session) => timed(() => session.createFirstMessage()));
  const second = step(sessions, first, toAll);
  const commitments = sessions.map((session) => timed(() => session.calculateChainCodeCommitment()));
  const third = step(sessions, second, toMe);
  const fourth = step(sessions, third, toMe, commitments);
  step(sessions, fourth, toAll);
  return sessions.map((session) => timed(() => session.keyshare()));
}

function sign(shares) {
  const sessions = range(threshold).map((me) => {
    const share = Keyshare.fromBytes(shares[me]);
    return timed(() => new SignSession(share, "m"));
  });
  const first = sessions.map((session) => timed(() => session.createFirstMessage()));
  const second = step(sessions, first, toAll);
  const third = step(sessions, second, toMe);
  step(sessions, third, toMe);
  const last = sessions.map((session) => timed(() => session.lastMessage(digest)));
  sessions.forEach((session, me) => {
    const messages = toAll(last, me);
    timed(() => session.combine(messages));
  });
}

function runs(count, body) {
  const times = [];
  let result;
  for (let k = 0; k < count; k += 1) {
    spent = 0;
    result = body();
    times.push(spent);
  }
  return [times.sort((a, b) => a - b)[count >> 1], result];
}

const [keygenSeconds, shares] = runs(keygenRuns, keygen);
const bytes = shares.map((share) => share.toBytes());
sign(bytes); // warms up
const [signSeconds] = runs(signRuns, () => sign(bytes));
console.log(JSON.stringify({ keygen_s: keygenSeconds, sign_ms: signSeconds * 1e3 }));
