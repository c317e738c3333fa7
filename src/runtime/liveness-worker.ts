/**
 * The source of the liveness worker, as text: a worker needs a script of its own, and only text is found alike when this
 * package runs from its sources, from `dist`, and bundled. It is kept short for that reason. It knows no formats: it is
 * given the datagram for each peer, whose first twelve bytes are for the stall and a number, and the datagram to expect from
 * it. If they are sealed it is told the keys, too; until it has them it sends and believes nothing.
 *
 * It shares `state`, 32-bit integers, with the main thread: [0] when main last came round, in monotonic milliseconds;
 * [1] whether main still has a report to read. Main may be stuck for minutes, so there is never more than one report
 * on the way; what arrives meanwhile waits here, the newest of each peer, with the time at which it arrived.
 */
export const LIVENESS_WORKER_SOURCE = `
"use strict";
const { parentPort, workerData } = require("node:worker_threads");
const dgram = require("node:dgram");
const dns = require("node:dns");
const net = require("node:net");
const { createHmac, timingSafeEqual } = require("node:crypto");

const { host, port, periodMs, quietMs, reportMs, stallMs, pauseMs, sealed, state } = workerData;
const NUMBER_AT = 4;
const HEAD_BYTES = 12;
const SEAL_BYTES = sealed ? 16 : 0;
const family = net.isIPv6(host) ? 6 : 4;
const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4");
const peers = new Map();
const idsByKey = new Map();
const counts = { sent: 0, received: 0, dropped: 0 };
let heard = new Map();
let lastRan = now();
let trustFrom = lastRan;

function now() {
  return Number(process.hrtime.bigint() / 1000000n) | 0;
}

function keyOf(datagram) {
  return datagram.toString("latin1", HEAD_BYTES);
}

function sealOf(key, said) {
  return createHmac("sha256", key).update(said).digest().subarray(0, SEAL_BYTES);
}

// Each number counts once, so nothing is believed that comes again.
function isSealed(peer, said, seal) {
  const number = said.readDoubleLE(NUMBER_AT);
  if (peer.incoming === undefined || !(number > peer.newest)) return false;
  if (!timingSafeEqual(sealOf(peer.incoming, said), seal)) return false;
  peer.newest = number;
  return true;
}

// When the whole process was stopped, the datagrams that wait in the socket may be as old as the stop.
function notice(time) {
  if (((time - lastRan) | 0) > pauseMs) trustFrom = (time + pauseMs) | 0;
  lastRan = time;
}

function resolve(peer) {
  if (net.isIP(peer.host) === family) {
    peer.resolved = peer.host;
    return;
  }
  dns.lookup(peer.host, family === 6 ? { family, hints: dns.V4MAPPED } : { family }, (error, address) => {
    if (!error) peer.resolved = address;
  });
}

function send() {
  const time = now();
  notice(time);
  const elapsed = (time - Atomics.load(state, 0)) | 0;
  if (elapsed < quietMs) return;
  for (const peer of peers.values()) {
    if (peer.turns++ % 40 === 0) resolve(peer);
    if (peer.resolved === undefined || (sealed && peer.outgoing === undefined)) continue;
    peer.datagram.writeUInt32LE(elapsed > stallMs ? elapsed : 0, 0);
    peer.datagram.writeDoubleLE(++peer.number, NUMBER_AT);
    counts.sent++;
    const seal = sealed ? [sealOf(peer.outgoing, peer.datagram)] : [];
    socket.send([peer.datagram, ...seal], peer.port, peer.resolved, () => {});
  }
}

function report() {
  notice(now());
  if (heard.size === 0 || Atomics.load(state, 1) !== 0) return;
  Atomics.store(state, 1, 1);
  parentPort.postMessage({ kind: "heard", heard: [...heard.values()], counts });
  heard = new Map();
}

socket.on("message", (datagram) => {
  const time = now();
  notice(time);
  const end = datagram.length - SEAL_BYTES;
  const said = datagram.subarray(0, Math.max(0, end));
  const id = end > HEAD_BYTES ? idsByKey.get(keyOf(said)) : undefined;
  const isGood = id !== undefined && (!sealed || isSealed(peers.get(id), said, datagram.subarray(end)));
  if (!isGood || ((time - trustFrom) | 0) < 0) {
    counts.dropped++;
    return;
  }
  counts.received++;
  heard.set(id, { id, stalledMs: datagram.readUInt32LE(0), at: time });
});
socket.on("error", (error) => parentPort.postMessage({ kind: "failed", message: error.message, code: error.code }));

function unwatch(id) {
  const peer = peers.get(id);
  if (peer === undefined) return;
  peers.delete(id);
  idsByKey.delete(peer.key);
  heard.delete(id);
}

parentPort.on("message", ({ id, watch, incoming, outgoing }) => {
  const known = peers.get(id);
  if (incoming !== undefined && known !== undefined) Object.assign(known, { incoming, newest: 0 });
  if (outgoing !== undefined && known !== undefined) Object.assign(known, { outgoing });
  if (incoming !== undefined || outgoing !== undefined) return;
  unwatch(id);
  if (watch === undefined) return;
  const key = keyOf(Buffer.from(watch.expected));
  const datagram = Buffer.from(watch.datagram);
  const sealing = { number: 0, newest: 0, ...(known && { number: known.number, newest: known.newest }) };
  const keys = { incoming: known?.incoming, outgoing: known?.outgoing };
  peers.set(id, { host: watch.host, port: watch.port, datagram, key, resolved: undefined, turns: 0, ...sealing, ...keys });
  idsByKey.set(key, id);
});

socket.bind({ address: host, port }, () => {
  setInterval(send, periodMs);
  setInterval(report, reportMs);
  parentPort.postMessage({ kind: "bound", port: socket.address().port });
});
`;
