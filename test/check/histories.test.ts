/**
 * Histories as nodes write them and `coterie check` reads them: nothing is lost on the way, each kind of broken promise
 * is named by its property, and the order of events of different nodes does not matter.
 */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Random } from "../../src/base/random.ts";
import type { HistoryEvent } from "../../src/protocol/history.ts";
import { HistoryFiles } from "../../src/runtime/history-files.ts";
import { CHECKERS, check } from "../../src/simulation/axioms/index.ts";
import { Rounds } from "../../src/simulation/axioms/rounds.ts";
import { sketch } from "../../src/simulation/axioms/sketch.ts";
import { readHistories } from "../../src/simulation/histories.ts";
import { simulate } from "../../src/simulation/simulate.ts";
import { PLANTS } from "./plants.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "coterie-check-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Writes each event as its node would, and reads all of them. */
function throughFiles(history: readonly HistoryEvent[], quiescent = false) {
  write(history);
  return readHistories([directory], { quiescent });
}

function write(history: readonly HistoryEvent[]): void {
  const files = new HistoryFiles(directory, (problem) => {
    throw problem;
  });
  const { sink } = files;
  for (const event of history) sink(event);
  files.close();
}

const settled = new Map<number, readonly HistoryEvent[]>();

/** A run without a violation, whose end is quiet; of the seed of the reference model, or of a simulated cluster. */
function cleanRun(seed: number): readonly HistoryEvent[] {
  let history = settled.get(seed);
  if (history !== undefined) return history;
  if (seed % 2 === 0) {
    const random = new Random(seed);
    const rounds = new Rounds((below) => random.below(below), 4);
    for (let count = 0; count < 500; count++) rounds.step();
    history = rounds.settle();
  } else {
    const run = simulate({
      seed,
      members: 4,
      durationMs: 4000,
      updatesPerSecond: 8,
      faults: ["crash", "pause", "partition"],
    });
    history = run.lost || run.violations.length > 0 ? [] : run.history;
  }
  settled.set(seed, history);
  return history;
}

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/** Another order of the same events: those of one node stay in order. */
function interleaved(history: readonly HistoryEvent[], random: Random): HistoryEvent[] {
  const byNode = new Map<string, HistoryEvent[]>();
  for (const event of history) {
    const events = byNode.get(event.node);
    if (events === undefined) byNode.set(event.node, [event]);
    else events.push(event);
  }
  const queues = [...byNode.values()];
  const mixed: HistoryEvent[] = [];
  while (queues.length > 0) {
    const index = random.below(queues.length);
    const queue = queues[index] as HistoryEvent[];
    mixed.push(...queue.splice(0, random.between(1, 20)));
    if (queue.length === 0) queues.splice(index, 1);
  }
  return mixed;
}

function propertiesOf(history: readonly HistoryEvent[]): string[] {
  const violations = check(history, { quiescent: true, violationsMax: 1000 });
  return [...new Set(violations.map(({ property }) => property))].sort();
}

describe("a run without faults in the protocol", () => {
  test.each(SEEDS)("is right after it was written and read (seed %i)", (seed) => {
    const history = cleanRun(seed);
    if (history.length === 0) return;
    const read = throughFiles(history, true);
    expect(read.unreadable).toEqual([]);
    expect(read.events.filter(({ kind }) => kind !== "crash").length).toBe(
      history.filter(({ kind }) => kind !== "crash").length,
    );
    expect(check(read.events, { quiescent: true })).toEqual([]);
  });
});

describe.each(CHECKERS.map(({ property }) => property))("a planted violation of %s", (property) => {
  test("is named", () => {
    let planted = 0;
    for (const seed of SEEDS) {
      const history = PLANTS[property](cleanRun(seed));
      if (history === undefined) continue;
      planted++;
      rmSync(directory, { recursive: true, force: true });
      const { events, unreadable } = throughFiles(history, true);
      expect(unreadable).toEqual([]);
      expect(propertiesOf(events), `seed ${seed}`).toContain(property);
      if (planted === 3) return;
    }
    expect(planted).toBeGreaterThan(0);
  });

  test("is named whatever the order of events of different nodes", () => {
    const seed = SEEDS.find((each) => PLANTS[property](cleanRun(each)) !== undefined) ?? 0;
    const history = PLANTS[property](cleanRun(seed)) ?? [];
    expect(propertiesOf(history)).toContain(property);
    for (let round = 1; round <= 5; round++)
      expect(propertiesOf(interleaved(history, new Random(round)))).toContain(property);
  });
});

test("the order of events of different nodes does not make a right history wrong", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SEEDS), fc.integer({ min: 0, max: 2 ** 32 - 1 }), (seed, order) => {
      expect(check(interleaved(cleanRun(seed), new Random(order)), { quiescent: true })).toEqual([]);
    }),
    { seed: 1, numRuns: 100 },
  );
});

describe("files", () => {
  const RUN = sketch(`
    a,b start
    a,b cluster 1 a b : p1
    a,b install 1 a b
    a send m1 safe
    a,b deliver m1
  `);

  test("say where each event was", () => {
    const { events, placeOf, nodes, files } = throughFiles(RUN);
    expect(nodes).toEqual(["a#00000001", "b#00000001"]);
    expect(files.length).toBe(2);
    for (const [index, event] of events.entries()) {
      const { file, line } = placeOf(index);
      expect(file).toContain(event.node);
      const written = JSON.parse(readFileSync(file, "utf8").split("\n")[line - 1] ?? "") as HistoryEvent;
      expect(event.kind === "crash" ? "deliver" : event.kind).toBe(written.kind);
    }
  });

  test("of processes that were killed may end in the midst of a line", () => {
    write(RUN);
    appendFileSync(join(directory, "a#00000001.jsonl"), '{"kind":"deliver","at":9');
    const { events, crashed, unreadable } = readHistories([directory]);
    expect(unreadable).toEqual([]);
    expect(crashed).toEqual(["a#00000001", "b#00000001"]);
    expect(check(events)).toEqual([]);
  });

  test("that have settled are of nodes that live if they are in the newest cluster view", () => {
    const { crashed, events } = throughFiles(
      [...RUN, ...sketch("a send m2 fifo view=1"), ...sketch("a accept 2 p2")],
      true,
    );
    expect(crashed).toEqual([]);
    // Nobody has delivered it, though nobody is gone.
    expect(propertiesOf(events)).toEqual(["D4", "D5"]);
  });

  test.each([
    ["not json", "is not JSON"],
    ["[]", "is not an object"],
    ['{"kind":"dance","at":1}', 'there is no event of the kind "dance"'],
    ['{"kind":"deliver","at":1,"group":"g","view":1,"message":"m","sender":"a"}', "`flavour` of deliver is missing"],
    ['{"kind":"end","at":1,"group":"g","why":"bored"}', '`why` of end cannot be "bored"'],
  ])("with the line %s are refused, and the line is named", (line, problem) => {
    write(RUN);
    const file = join(directory, "b#00000001.jsonl");
    appendFileSync(file, `${line}\n`);
    expect(readHistories([file]).unreadable).toEqual([{ file, line: 6, problem }]);
  });

  test("of no history, of a later version and of one node twice are refused", () => {
    const problemOf = (text: string): string | undefined => {
      const file = join(directory, "x.jsonl");
      writeFileSync(file, text);
      return readHistories([file]).unreadable[0]?.problem;
    };
    expect(problemOf('{"kind":"start"}\n')).toContain("with which histories begin");
    expect(problemOf('{"coterie":"history","version":99}\n')).toContain("is of version 99");
    write(RUN);
    const text = readFileSync(join(directory, "a#00000001.jsonl"), "utf8");
    writeFileSync(join(directory, "x.jsonl"), text);
    expect(readHistories([directory]).unreadable.map(({ problem }) => problem)).toEqual([
      expect.stringContaining("there are events of a#00000001 in"),
    ]);
    // One file by two names is one file.
    rmSync(join(directory, "x.jsonl"));
    expect(readHistories([directory, join(directory, readdirSync(directory)[0] ?? "")]).unreadable).toEqual([]);
  });
});
