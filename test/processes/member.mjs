// The program that the multi-process tests run: one process with one node, on the built package, that does what its
// parent says. Commands come and outcomes go over the IPC channel; so do events, each with the time of the machine's
// monotonic clock, which all processes share.
//
// The history goes to a file, each event written before the call that records it returns. So a process that is killed
// has recorded everything that it did, and whoever heard of a message finds its sending in the sender's history.
import { closeSync, openSync, writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { AbortReply, ALL, defineGroup, MAJORITY, start } from "../../dist/index.js";

const [, , slotText = "0", historyPath = ""] = process.argv;
/** Which of the counts in the state are this process's. */
const slot = Number(slotText);
const SLOTS = 16;

const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
const clockOffsetMs = monotonicMs() - performance.now();

// What the test has made of this process.
let node;
const groups = new Map();
const generators = new Set();
const historyFile = historyPath === "" ? undefined : openSync(historyPath, "a");

/** How long the handler of a message of bytes takes here. */
let burnMs = 0;

const burn = (forMs) => {
  const until = performance.now() + forMs;
  while (performance.now() < until);
};

/** A chain of hashes tells two orders apart. */
const link = (chain, ...values) => {
  let hash = chain;
  for (const character of values.join(" ")) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
};

const VARIANTS = {
  ledger: {},
  /** The same group as the members of another version define it. */
  "ledger-2": { name: "ledger", version: 2 },
  /** The same group with an operation more. */
  "ledger-newer": {
    added: {
      raise: ({ state }, key, by) => {
        state.values.set(key, (state.values.get(key) ?? 0) + by);
        return state.values.get(key);
      },
    },
  },
  small: { name: "small", maxMessageBytes: 4096 },
  other: { name: "other" },
  /** A group that outlives its members. */
  durable: { name: "durable", durable: true },
  acceptors: { name: "acceptors", durable: { acceptors: 2 } },
  /** One of which nothing may be seen on a disk. */
  vault: { name: "vault", durable: true, secure: true },
  /** A group that does not put up with slow members. */
  brisk: { name: "brisk", slowMember: { reportAfterMs: 500, excludeAfterMs: 1500 } },
  /** A group whose state travels slowly, and says so. */
  streamed: { name: "streamed", checkpoint: { save: savedSlowly, load: loadedWhole } },
};

const CHUNKS = 20;

async function* savedSlowly({ counts, chain, values }) {
  const text = JSON.stringify({ counts, chain, values: [...values] });
  const bytes = new TextEncoder().encode(text.padEnd(CHUNKS));
  const chunkBytes = Math.ceil(bytes.length / CHUNKS);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    yield bytes.subarray(at, at + chunkBytes);
    tell({ kind: "saving", bytes: at });
    await sleep(20);
  }
}

async function loadedWhole(chunks) {
  const parts = [];
  for await (const chunk of chunks) parts.push(chunk);
  const { counts, chain, values } = JSON.parse(Buffer.concat(parts).toString());
  return { counts, chain, values: new Map(values) };
}

const initialState = () => ({ counts: new Array(SLOTS).fill(0), chain: 0x811c9dc5, values: new Map() });

function definition(variant) {
  if (VARIANTS[variant] === undefined) throw new Error(`no such variant: ${variant}`);
  const { name = "ledger", added = {}, ...own } = VARIANTS[variant];
  return defineGroup({
    name,
    state: initialState,
    updates: {
      /** Commutes, so that replicas agree on it whatever the order. */
      count: ({ state }, at, amount) => {
        state.counts[at] += amount;
      },
      /** The sender's next entry in the one order. */
      append: ({ state }, at, number) => {
        state.counts[at] += 1;
        state.chain = link(state.chain, at, number);
        return state.chain;
      },
      set: ({ state }, key, value) => {
        state.values.set(key, value);
      },
      /** One message of bytes. */
      bytes: ({ state }, bytes) => {
        state.chain = link(state.chain, bytes.length);
        burn(burnMs);
        return bytes.length;
      },
      setAndThrow: ({ state }, key, value) => {
        state.values.set(key, value);
        throw new RangeError(`no room for ${key}`);
      },
      promise: ({ state }, key) => {
        state.values.set(key, "promised");
        return Promise.resolve(key);
      },
      ...added,
    },
    queries: {
      counts: ({ state }) => state.counts,
      chain: ({ state }) => state.chain,
      lookup: ({ state }, key) => state.values.get(key),
      throws: () => {
        throw new RangeError("no answer");
      },
      aborts: () => {
        throw new AbortReply("not now");
      },
      nothing: ({ nullReply }) => nullReply(),
      answersAfter: async (_context, delayMs) => {
        await sleep(delayMs);
        return slot;
      },
    },
    schema: { set: pairOfStrings },
    onView: ({ view }) => tell({ kind: "view", group: name, view }),
    onExcluded: (error) => tell({ kind: "excluded", group: name, error: describe(error) }),
    ...own,
  });
}

/** A Standard Schema, made by hand. */
const pairOfStrings = {
  "~standard": {
    version: 1,
    vendor: "coterie-tests",
    validate: (value) =>
      Array.isArray(value) && value.length === 2 && value.every((each) => typeof each === "string")
        ? { value }
        : { issues: [{ message: "expected two strings" }] },
  },
};

const record = (event) => {
  if (historyFile !== undefined)
    writeSync(historyFile, `${JSON.stringify({ ...event, at: event.at + clockOffsetMs })}\n`);
};

const group = (name) => {
  const found = groups.get(name);
  if (found === undefined) throw new Error(`not in group ${name}`);
  return found;
};

function entered(joined) {
  groups.set(joined.name, joined);
  joined.signal.addEventListener("abort", () => {
    tell({ kind: "ended", group: joined.name, error: describe(joined.signal.reason) });
  });
  return joined.view;
}

const wantedOf = (wanted) => (wanted === "ALL" ? ALL : wanted === "MAJORITY" ? MAJORITY : wanted);

const COMMANDS = {
  /** `abortAfterMs` is of the signal that is given to `start`. */
  async start({ records = true, abortAfterMs, ...options }) {
    node = await start({
      ...options,
      ...(records ? { history: record } : {}),
      ...(abortAfterMs === undefined ? {} : { signal: AbortSignal.timeout(abortAfterMs) }),
      log: (entry) =>
        tell({ kind: "log", ...entry, error: entry.error === undefined ? undefined : describe(entry.error) }),
    });
    void follow(node.cluster.views(), (view) => tell({ kind: "cluster", view }));
    void follow(node.cluster.statuses(), (status) => tell({ kind: "status", status }));
    return node.self;
  },
  async join(variant, abortAfterMs) {
    const options = abortAfterMs === undefined ? {} : { signal: AbortSignal.timeout(abortAfterMs) };
    return entered(await node.join(definition(variant), options));
  },
  async joinWithKey(variant, key) {
    return entered(await node.join(definition(variant), { key }));
  },
  async rekeyGroup(name, key) {
    await group(name).rekey(key);
  },
  async joinAll(variants) {
    return (await node.joinAll(variants.map(definition))).map(entered);
  },
  self: () => node.self,
  cluster: () => ({ status: node.cluster.status, view: node.cluster.view }),
  group: (name) => {
    const { status, view, rank, counters, signal } = group(name);
    return { status, view, rank, counters, ended: signal.aborted ? describe(signal.reason) : undefined };
  },
  supports: (name, operation) => group(name).supports(operation),
  /** Resolves with the update's result. */
  async send(name, flavour, operation, ...args) {
    return await group(name)[flavour][operation](...args);
  },
  /** Sends under a signal that aborts after so long; 0 is at once. */
  async sendUntil(abortAfterMs, name, flavour, operation, ...args) {
    const signal = abortAfterMs === 0 ? AbortSignal.abort() : AbortSignal.timeout(abortAfterMs);
    return await group(name)
      .with({ signal })
      [flavour][operation](...args);
  },
  async flush(name, options) {
    await group(name).flush(options);
  },
  async query(name, wanted, options, operation, ...args) {
    const { abortAfterMs, ...others } = options;
    const signal = abortAfterMs === undefined ? undefined : AbortSignal.timeout(abortAfterMs);
    return await group(name)
      .query(wantedOf(wanted), { ...others, ...(signal === undefined ? {} : { signal }) })
      [operation](...args);
  },
  read: (name) => group(name).read(({ state }) => ({ counts: state.counts, chain: state.chain, values: state.values })),
  async leave(name) {
    await group(name).leave();
  },
  /** Sends steadily until told to stop. */
  load: (name, options) => void startLoad(group(name), options),
  /** What became of all that was sent since the first `load`. */
  async stopLoad() {
    for (const generator of generators) generator.stopped = true;
    await Promise.all([...generators].map((generator) => generator.done));
    return { ...tally, failures: Object.fromEntries(tally.failures) };
  },
  /** Blocks the event loop, again and again. */
  async blockRepeatedly({ forMs, everyMs, times }) {
    for (let time = 0; time < times; time++) {
      if (time > 0) await sleep(everyMs - forMs);
      burn(forMs);
    }
  },
  slowDown(forMs) {
    burnMs = forMs;
  },
  async memory() {
    for (let round = 0; round < 6; round++) {
      globalThis.gc?.();
      await nextTurn();
    }
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
    return { rss, heapUsed, external, arrayBuffers };
  },
  async close() {
    await node.close();
  },
};

const tally = { sent: 0, resolved: 0, failures: new Map() };

/** Some flavours, in turn, at a steady rate; what is not answered yet is bounded, as a program would that awaits. */
function startLoad(
  to,
  { perSecond, flavours = ["send", "causalSend", "orderedSend", "safeSend"], unansweredMax = 400, bytes = 0 },
) {
  const generator = { stopped: false, done: undefined };
  const payload = new Uint8Array(bytes);
  let unanswered = 0;
  let number = 0;
  const settled = (outcome) => {
    unanswered--;
    outcome();
  };
  const one = () => {
    const flavour = flavours[number++ % flavours.length];
    tally.sent++;
    unanswered++;
    const call =
      bytes > 0
        ? to[flavour].bytes(payload)
        : flavour === "send" || flavour === "causalSend"
          ? to[flavour].count(slot, 1)
          : to[flavour].append(slot, number);
    call.then(
      () => settled(() => tally.resolved++),
      (error) => settled(() => tally.failures.set(error.code, (tally.failures.get(error.code) ?? 0) + 1)),
    );
  };
  generator.done = (async () => {
    let owed = 0;
    let before = performance.now();
    while (!generator.stopped && !to.signal.aborted) {
      await sleep(5);
      const now = performance.now();
      // After a pause the generator goes on at its rate; it does not catch up.
      owed = Math.min(owed + ((now - before) / 1000) * perSecond, perSecond / 10 + 1);
      before = now;
      for (; owed >= 1 && unanswered < unansweredMax; owed--) one();
    }
    while (unanswered > 0) await sleep(5);
    generators.delete(generator);
  })();
  generators.add(generator);
}

async function follow(feed, each) {
  for await (const value of feed) each(value);
}

const describe = (error) =>
  error instanceof Error
    ? {
        name: error.name,
        class: error.constructor.name,
        message: error.message,
        code: error.code,
        group: error.group,
        view: error.view,
        reason: error.reason,
        cause: error.cause === undefined ? undefined : describe(error.cause),
      }
    : { name: typeof error, message: String(error) };

const tell = (event) => {
  if (process.connected) process.send({ event: { ...event, at: monotonicMs() } });
};

process.on("message", async ({ id, command, args }) => {
  try {
    const value = await COMMANDS[command](...args);
    if (process.connected) process.send({ id, value });
  } catch (error) {
    if (process.connected) process.send({ id, error: describe(error) });
  }
});
process.on("disconnect", () => {
  if (historyFile !== undefined) closeSync(historyFile);
  process.exit();
});
tell({ kind: "ready" });
