// The program that the torture runs: one process with one node in two groups, which sends in all flavours, flushes and
// asks all the time, and joins again when it was excluded. It tells what its parent cannot see, and is otherwise left alone.
//
//     node member.mjs OPTIONS      the options of `start`, `rate`, the messages per second, and perhaps `acknowledged`, as JSON
//
// With `acknowledged`, a folder, the groups are durable. A file in it says for each membership how many of its safe updates were
// acknowledged; they are numbered, and the state says up to which number each membership's have come.
import { createHash } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ALL, defineGroup, MAJORITY, start } from "../../dist/index.js";

const { rate, acknowledged, ...options } = JSON.parse(process.argv[2] ?? "{}");
const FLAVOURS = ["send", "causalSend", "orderedSend", "safeSend"];
const UNANSWERED_MAX = 300;
const ASKING_MS = 150;
const TICK_MS = 10;
/** How calls may end when the membership does. */
const EXPECTED = new Set(["excluded", "outcome-unknown", "left", "closed", "blocked"]);
/** How joins of durable groups may end when the disk that was to bring the group back was damaged: another one does it. */
if (acknowledged !== undefined) for (const code of ["not-recoverable", "group-lost"]) EXPECTED.add(code);

const definitionOf = (name) =>
  defineGroup({
    name,
    durable: acknowledged !== undefined,
    state: () => ({ counts: {}, chain: "", safe: {}, repeated: 0 }),
    updates: {
      /** Commutes: members may run it in different orders. */
      count: ({ state }, who, by) => {
        state.counts[who] = (state.counts[who] ?? 0) + by;
      },
      /** Does not: all members run it in one order. */
      append: ({ state }, who, number) => {
        state.chain = createHash("sha1").update(`${state.chain} ${who} ${number}`).digest("hex");
        return state.chain;
      },
      /** The next safe update of a membership. */
      enter: ({ state }, membership, number) => {
        if (number <= (state.safe[membership] ?? 0)) state.repeated++;
        state.safe[membership] = Math.max(number, state.safe[membership] ?? 0);
        state.chain = createHash("sha1").update(`${state.chain} ${membership} ${number}`).digest("hex");
      },
    },
    queries: { chain: ({ state }) => state.chain },
  });

const definitions = [definitionOf("ledger"), definitionOf("notes")];
const failures = new Map();
const complaints = [];
let node;
let groups = [];
let sending = true;
let unanswered = 0;
let number = 0;

const tell = (message) => {
  if (process.connected) process.send(message);
};

const track = (what, call) => {
  unanswered++;
  call.then(
    () => unanswered--,
    (error) => {
      unanswered--;
      const code = error.code ?? String(error);
      failures.set(code, (failures.get(code) ?? 0) + 1);
      if (!EXPECTED.has(code)) complaints.push(`${what}: ${error.message}`);
    },
  );
};

const isIn = (group) => !group.signal.aborted;

/** The groups of which all members hold the state, on their disks if they have some; else one disk may be the only one. */
const held = new WeakSet();
/** Of each group that this process is in: the membership's name, and how many of its updates were sent and acknowledged. */
let memberships = new Map();

function beginMemberships() {
  memberships = new Map(
    groups.map((group) => {
      const name = `${group.name}@${node.self}@${number}`;
      const file = openSync(join(acknowledged, name), "wx");
      return [group, { name, file, sent: 0, acknowledged: 0 }];
    }),
  );
}

function enter(group) {
  const membership = memberships.get(group);
  const place = ++membership.sent;
  const call = group.safeSend.enter(membership.name, place).then(() => {
    membership.acknowledged = Math.max(membership.acknowledged, place);
    writeSync(membership.file, String(membership.acknowledged), 0);
  });
  track("safeSend", call);
}

function one() {
  number++;
  const group = groups[number % groups.length];
  const flavour = FLAVOURS[Math.floor(number / groups.length) % FLAVOURS.length];
  const { name } = options;
  if (flavour === "safeSend" && acknowledged !== undefined) {
    enter(group);
    return;
  }
  const isOrdered = flavour === "orderedSend" || flavour === "safeSend";
  track(flavour, isOrdered ? group[flavour].append(name, number) : group[flavour].count(name, 1));
}

function ask() {
  const group = groups[number % groups.length];
  if (number % 3 === 0) track("flush", group.flush());
  else if (number % 3 === 1) track("flush of two copies", group.flush({ copies: 2 }));
  else if (number % 2 === 0) track("query", group.query(MAJORITY).chain());
  else track("ordered query", group.query(ALL, { order: "ordered" }).chain());
}

async function load() {
  let owed = 0;
  let before = performance.now();
  let asked = before;
  for (;;) {
    await sleep(TICK_MS);
    const now = performance.now();
    // After a pause it goes on at its rate; it does not catch up.
    owed = Math.min(owed + ((now - before) / 1000) * rate, rate / 10 + 1);
    before = now;
    if (!sending || groups.length === 0 || !groups.every(isIn)) continue;
    for (; owed >= 1 && unanswered < UNANSWERED_MAX; owed--) one();
    if (now - asked < ASKING_MS || unanswered >= UNANSWERED_MAX) continue;
    asked = now;
    ask();
  }
}

/** Joins, and joins again as often as it was excluded. */
async function stayIn() {
  while (node.cluster.status !== "closed") {
    try {
      groups = await node.joinAll(definitions);
      if (acknowledged !== undefined) beginMemberships();
      for (const group of groups) {
        track(
          "flush",
          group.flush().then(() => held.add(group)),
        );
      }
      tellState();
      await Promise.all(
        groups.map((group) => new Promise((resolve) => group.signal.addEventListener("abort", resolve))),
      );
    } catch (error) {
      if (!EXPECTED.has(error.code)) complaints.push(`join: ${error.message}`);
    }
    groups = [];
    tellState();
    await sleep(20);
  }
}

const tellState = () => {
  tell({
    kind: "state",
    node: node.self,
    status: node.cluster.status,
    nodes: node.cluster.view?.nodes.map(({ id }) => id) ?? [],
    groups: groups
      .filter((group) => isIn(group) && held.has(group))
      .map((group) => ({ name: group.name, members: group.view.members })),
  });
};

/** No more is sent, and what was sent has arrived everywhere. */
async function quiet() {
  sending = false;
  while (unanswered > 0) await sleep(TICK_MS);
  for (const group of groups) {
    await group.flush();
    for (const order of ["fifo", "ordered", "safe"]) await group.query(ALL, { order }).chain();
  }
  const digests = groups.map((group) =>
    group.read(({ state }) => {
      const counts = Object.entries(state.counts).sort(([a], [b]) => (a < b ? -1 : 1));
      return createHash("sha1")
        .update(JSON.stringify([counts, state.chain, Object.entries(state.safe).sort()]))
        .digest("hex");
    }),
  );
  const safe = Object.assign({}, ...groups.map((group) => group.read(({ state }) => state.safe)));
  const repeated = groups.reduce((sum, group) => sum + group.read(({ state }) => state.repeated), 0);
  tell({ kind: "quiet", digests, safe, repeated });
}

const ORDERS = {
  /** Blocks the event loop. */
  stall({ ms }) {
    const until = performance.now() + ms;
    while (performance.now() < until);
  },
  stop() {
    sending = false;
    tell({ kind: "stopped", failures: Object.fromEntries(failures), complaints });
  },
  quiet,
  async leave() {
    sending = false;
    // A node that has not started yet has nothing to leave.
    await node?.close();
    process.disconnect();
    process.exit();
  },
};

process.on("message", (order) => {
  Promise.resolve(ORDERS[order.kind](order)).catch((error) =>
    tell({ kind: "failed", message: String(error?.message ?? error) }),
  );
});
// Ctrl-C reaches all processes of a terminal; what it means is for the parent to say.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());

try {
  node = await start({
    ...options,
    log: ({ level, code, message }) => {
      if (level === "error" && code !== "the-disk-is-damaged") complaints.push(message);
    },
  });
  setInterval(tellState, 100).unref();
  void load();
  await stayIn();
} catch (error) {
  tell({ kind: "failed", message: String(error?.message ?? error) });
  process.exit(1);
}
