/**
 * The source of the liveness worker, as text: a worker needs a script of its own, and only text is found alike when this
 * package runs from its sources, from `dist`, and bundled. It is kept short for that reason. It knows no formats: it is
 * given the datagram for each peer, whose first four bytes are for the stall, and the datagram to expect from it.
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

const { host, port, periodMs, quietMs, reportMs, stallMs, pauseMs, state } = workerData;
const STALL_BYTES = 4;
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
  return datagram.toString("latin1", STALL_BYTES);
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
    if (peer.resolved === undefined) continue;
    peer.datagram.writeUInt32LE(elapsed > stallMs ? elapsed : 0, 0);
    counts.sent++;
    socket.send(peer.datagram, peer.port, peer.resolved, () => {});
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
  const id = datagram.length > STALL_BYTES ? idsByKey.get(keyOf(datagram)) : undefined;
  if (id === undefined || ((time - trustFrom) | 0) < 0) {
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

parentPort.on("message", ({ id, watch }) => {
  unwatch(id);
  if (watch === undefined) return;
  const key = keyOf(Buffer.from(watch.expected));
  const datagram = Buffer.from(watch.datagram);
  peers.set(id, { host: watch.host, port: watch.port, datagram, key, resolved: undefined, turns: 0 });
  idsByKey.set(key, id);
});

socket.bind({ address: host, port }, () => {
  setInterval(send, periodMs);
  setInterval(report, reportMs);
  parentPort.postMessage({ kind: "bound", port: socket.address().port });
});
`;
