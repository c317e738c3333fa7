// The attacker of the flood: a process that has no key, and keeps as many connections to nodes as it can, none of which
// ever ends its handshake. What ends is replaced at once, as fast as its pace allows.
//
//     node attacker.mjs OPTIONS      { ports, connections, perSecond, addresses }, as JSON
//
// It tells now and then how many it has at once: those that are being made, those that wait in the system, and those that
// the nodes have. It is told `stop`, and answers with what it has done.
import { connect, createServer } from "node:net";
import { connect as connectTls } from "node:tls";

const { ports, connections, perSecond, addresses } = JSON.parse(process.argv[2] ?? "{}");
const TICK_MS = 10;
const DRIP_MS = 500;
const TELL_MS = 50;

/** The first thing that a TLS client says, whole and good. */
const clientHello = await new Promise((resolve) => {
  const server = createServer((socket) => {
    socket.once("data", (bytes) => {
      resolve(bytes);
      socket.destroy();
      server.close();
    });
  });
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    const socket = connectTls({ port, host: "127.0.0.1", minVersion: "TLSv1.3", rejectUnauthorized: false });
    socket.on("error", () => {});
  });
});

/** What a connection says, and whether it goes on, byte by byte. */
const MANNERS = [
  { says: Buffer.alloc(0) },
  { says: Buffer.alloc(0), drips: true },
  { says: clientHello },
  { says: clientHello.subarray(0, 40), drips: true },
  // A record, and a frame, of giant length.
  { says: Buffer.from([22, 3, 1, 255, 255, 1, 255, 255, 255]) },
  { says: Buffer.from([255, 255, 255, 255, 67, 79, 84, 82]) },
];

const open = new Set();
const dripping = new Set();
let opened = 0;
let isOver = false;

function one() {
  const manner = MANNERS[opened % MANNERS.length];
  const localAddress = addresses[opened % addresses.length];
  const port = ports[opened % ports.length];
  opened++;
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  open.add(socket);
  socket.on("connect", () => {
    socket.write(manner.says);
    if (manner.drips) dripping.add(socket);
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    open.delete(socket);
    dripping.delete(socket);
  });
  socket.resume();
}

let owed = 0;
let before = performance.now();
setInterval(() => {
  const now = performance.now();
  owed = Math.min(owed + ((now - before) / 1000) * perSecond, perSecond / 10);
  before = now;
  for (; owed >= 1 && !isOver && open.size < connections; owed--) one();
}, TICK_MS);
setInterval(() => {
  for (const socket of dripping) socket.write(Buffer.of(1));
}, DRIP_MS);

setInterval(() => process.send({ open: open.size }), TELL_MS);

process.on("message", () => {
  isOver = true;
  for (const socket of open) socket.destroy();
  process.send({ opened });
});
process.on("disconnect", () => process.exit());
process.send("ready");
