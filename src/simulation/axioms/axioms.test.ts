import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../base/random.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import { arrange } from "./arrange.ts";
import { CHECKERS, check } from "./index.ts";
import { Rounds } from "./rounds.ts";
import type { Delivery, Run, Stay } from "./run.ts";
import type { Property } from "./violation.ts";

/** A run of `steps` random steps; a run of fewer steps of the same seed is a prefix of it. */
function correctRun(seed: number, steps: number, settle: boolean): HistoryEvent[] {
  const random = new Random(seed);
  const rounds = new Rounds((below) => random.below(below), 3);
  for (let count = 0; count < steps; count++) rounds.step();
  return settle ? rounds.settle() : rounds.history;
}

const seeds = fc.integer({ min: 0, max: 0xffffffff });
const lengths = fc.integer({ min: 0, max: 400 });

test("a correct history has no violation, at its end and at every moment before", () => {
  fc.assert(
    fc.property(seeds, lengths, (seed, steps) => {
      expect(check(correctRun(seed, steps, true), { quiescent: true })).toEqual([]);
      expect(check(correctRun(seed, steps, false))).toEqual([]);
    }),
    { seed: 1, numRuns: 400 },
  );
});

test("every property has one checker", () => {
  const properties = CHECKERS.map(({ property }) => property);
  expect(new Set(properties).size).toBe(properties.length);
});

test("a history may be checked again, with the same result", () => {
  const run = arrange(
    correctRun(7, 300, true).filter((_, index) => index % 9 !== 0),
    { quiescent: true },
  );
  const judge = () => CHECKERS.flatMap((checker) => checker.check(run));
  expect(judge()).toEqual(judge());
});

/** One edit of a history, and what it must be found to break. */
interface Edit {
  readonly edited: HistoryEvent[];
  readonly broken: readonly Property[];
}
/** All edits of one kind that a history allows. They are made only when chosen. */
type Edits = (history: readonly HistoryEvent[], run: Run) => (() => Edit)[];

const without = (history: readonly HistoryEvent[], ...indexes: number[]): HistoryEvent[] =>
  history.filter((_, index) => !indexes.includes(index));
const replaced = (history: readonly HistoryEvent[], index: number, event: HistoryEvent): HistoryEvent[] =>
  history.with(index, event);
const inserted = (history: readonly HistoryEvent[], index: number, event: HistoryEvent): HistoryEvent[] =>
  history.toSpliced(index, 0, event);
const moved = (history: readonly HistoryEvent[], from: number, to: number): HistoryEvent[] =>
  history.toSpliced(from, 1).toSpliced(to, 0, history[from] as HistoryEvent);

function eventsOf<Kind extends HistoryEvent["kind"]>(
  history: readonly HistoryEvent[],
  ...kinds: readonly Kind[]
): { readonly index: number; readonly event: Extract<HistoryEvent, { kind: Kind }> }[] {
  return history.flatMap((event, index) =>
    kinds.some((kind) => kind === event.kind) ? [{ index, event: event as Extract<HistoryEvent, { kind: Kind }> }] : [],
  );
}

const reliable = (run: Run): Delivery[] => run.stays.flatMap((stay) => stay.deliveries);
const goOnWith = (stay: Stay): Stay[] =>
  stay.view.stays.filter((other) => other !== stay && other.next !== undefined && other.next.view === stay.next?.view);
const isOrdered = ({ flavour }: Delivery): boolean => flavour === "total" || flavour === "safe";

function lackOf(run: Run, delivery: Delivery): Property[] {
  const { stay, message } = delivery;
  const sender = message.stream?.sender;
  if (stay === undefined || sender === undefined) return [];
  const broken: Property[] = [];
  if (goOnWith(stay).length > 0) broken.push("D3");
  if (sender === stay.node && (stay.next !== undefined || run.settledIn(stay))) broken.push("D4");
  const later = stay.deliveries.some(
    (other) => other.message.stream === message.stream && other.event > delivery.event,
  );
  if (later || (run.settledIn(stay) && sender.members.get("g")?.stay?.view === stay.view)) broken.push("D5");
  if (isOrdered(delivery) && goOnWith(stay).length > 0) broken.push("D7");
  return broken;
}

/** All deliveries of a message by members that go on. */
const survivorsOf = (delivery: Delivery): number[] =>
  (delivery.stay?.view.stays ?? [])
    .flatMap((stay) =>
      stay.next === undefined ? [] : stay.deliveries.filter(({ message }) => message === delivery.message),
    )
    .map(({ event }) => event);

const EDITS: Readonly<Record<string, Edits>> = {
  "a delivery is left out": (history, run) =>
    reliable(run).map((delivery) => () => ({
      edited: without(history, delivery.event),
      broken: lackOf(run, delivery),
    })),
  "a delivery happens twice": (history) =>
    eventsOf(history, "deliver").map(({ index, event }) => () => ({
      edited: inserted(history, index + 1, event),
      broken: ["D1"],
    })),
  "two deliveries of one sender are swapped": (history, run) =>
    run.stays.flatMap(({ deliveries }) =>
      deliveries.flatMap((second, index) => {
        const first = deliveries[index - 1];
        if (first === undefined || first.message.stream !== second.message.stream) return [];
        return [() => ({ edited: moved(history, second.event, first.event), broken: ["D5"] as const })];
      }),
    ),
  "two deliveries of the order are swapped": (history, run) =>
    run.stays.flatMap((stay) =>
      stay.ordered.flatMap((second, index) => {
        const first = stay.ordered[index - 1];
        if (first === undefined || goOnWith(stay).length === 0) return [];
        const query = first.message.query !== undefined || second.message.query !== undefined;
        const broken: Property[] = query ? ["D7", "Q2"] : ["D7"];
        return [() => ({ edited: moved(history, second.event, first.event), broken })];
      }),
    ),
  "a causal message overtakes its cause": (history, run) =>
    run.stays.flatMap((stay) =>
      stay.deliveries.flatMap((effect) => {
        const sender = effect.message.stream?.sender;
        if (effect.flavour !== "causal" || sender === stay.node) return [];
        const causes = stay.deliveries.filter(
          (cause) =>
            cause.flavour === "causal" &&
            run.deliveries.some(
              (one) => one.message === cause.message && one.member.node === sender && one.event < effect.message.sentAt,
            ),
        );
        return causes.map((cause) => () => ({ edited: moved(history, effect.event, cause.event), broken: ["D6"] }));
      }),
    ),
  "a delivery names another view": (history, run) =>
    reliable(run).map(({ event, view }) => () => ({
      edited: replaced(history, event, { ...history[event], view: view + 1 } as HistoryEvent),
      broken: ["D2"],
    })),
  "a delivery names another message, sender or flavour": (history) =>
    eventsOf(history, "deliver").flatMap(({ index, event }) => {
      const flavour = event.flavour === "fifo" ? "causal" : "fifo";
      const others = [{ message: "unknown" }, { sender: "nobody#00000000" }, { flavour } as const];
      return others.map((other) => () => ({
        edited: replaced(history, index, { ...event, ...other }),
        broken: ["D1"],
      }));
    }),
  "a view is without the member that installs it": (history) =>
    eventsOf(history, "install").map(({ index, event }) => () => {
      const members = event.members.filter((id) => id !== event.node);
      const { nodes: _, ...rest } = event;
      return { edited: replaced(history, index, { ...rest, members }), broken: ["M1"] };
    }),
  "a view is installed twice": (history) =>
    eventsOf(history, "install").map(({ index, event }) => () => ({
      edited: inserted(history, index + 1, event),
      broken: ["M2"],
    })),
  "a view lists its members in another order": (history, run) =>
    run.stays.flatMap((stay) => {
      const event = history[stay.installedAt];
      if (event?.kind !== "install" || event.members.length < 2 || stay.view.stays.length < 2) return [];
      const members = event.members.toReversed();
      return [() => ({ edited: replaced(history, stay.installedAt, { ...event, members }), broken: ["M2"] })];
    }),
  "nobody accepted a view": (history) =>
    eventsOf(history, "accept").map(({ event }) => () => ({
      edited: history.filter((other) => other.kind !== "accept" || other.number !== event.number),
      broken: ["M3"],
    })),
  "another proposal is installed": (history) =>
    eventsOf(history, "install").flatMap(({ index, event }) => {
      if (event.group !== "" || event.number === 1) return [];
      return [() => ({ edited: replaced(history, index, { ...event, proposal: "other" }), broken: ["M3"] })];
    }),
  "an excluded node delivers": (history) =>
    eventsOf(history, "exclude").flatMap(({ index, event }) =>
      eventsOf(history, "deliver").map(({ event: delivery }) => () => ({
        edited: inserted(history, index + 1, { ...delivery, node: event.node }),
        broken: ["M4"],
      })),
    ),
  "a directory differs": (history) =>
    eventsOf(history, "directory").flatMap(({ index, event }, _, all) => {
      if (all.filter((other) => other.event.index === event.index).length < 2) return [];
      return [() => ({ edited: replaced(history, index, { ...event, digest: "other" }), broken: ["B1"] })];
    }),
  "a safe message is lost with who delivered it": (history, run) =>
    reliable(run).flatMap((delivery) => {
      const lost = survivorsOf(delivery);
      if (delivery.flavour !== "safe" || delivery.stay?.next !== undefined || lost.length === 0) return [];
      return [() => ({ edited: without(history, ...lost), broken: ["D8"] })];
    }),
  "a flushed message is lost with who flushed": (history, run) =>
    run.flushes.flatMap((flush) => {
      if (!flush.held || flush.copies !== undefined || flush.beginStay?.next !== undefined) return [];
      return (flush.beginStay?.deliveries ?? []).flatMap((delivery) => {
        const lost = survivorsOf(delivery);
        if (delivery.event > flush.beganAt || lost.length === 0) return [];
        return [() => ({ edited: without(history, ...lost), broken: ["F1"] as const })];
      });
    }),
  "a flush is rejected without a reason": (history, run) =>
    run.flushes.flatMap((flush) => {
      const event = history[flush.endedAt];
      if (event?.kind !== "flush-end" || (flush.spell?.over && flush.spell.why !== "crashed")) return [];
      const rejected = { ...event, outcome: "rejected" } as const;
      return [() => ({ edited: replaced(history, flush.endedAt, rejected), broken: ["F2"] as const })];
    }),
  "a flush never ends": (history, run) =>
    eventsOf(history, "flush-end").flatMap(({ index, event }) => {
      if (!run.nodes.get(event.node)?.live) return [];
      return [() => ({ edited: without(history, index), broken: ["F2"] })];
    }),
  "an answer is left out, or comes twice": (history, run) =>
    run.queries.flatMap((query) => {
      if (query.ends[0]?.end.outcome !== "complete") return [];
      return query.replies.flatMap(({ event, reply }) => [
        () => ({ edited: without(history, event), broken: ["Q1"] as const }),
        () => ({ edited: inserted(history, event, reply), broken: ["Q1"] as const }),
      ]);
    }),
  "a query never ends": (history, run) =>
    eventsOf(history, "query-end").flatMap(({ index, event }) => {
      if (!run.nodes.get(event.node)?.live) return [];
      return [() => ({ edited: without(history, index), broken: ["Q1"] })];
    }),
  "a state differs": (history, run) =>
    run.states.flatMap((record) => {
      const event = history[record.event];
      const others = run.states.filter((other) => other.view === record.view && other.member !== record.member);
      if (event?.kind !== "state" || others.length === 0) return [];
      return [() => ({ edited: replaced(history, record.event, { ...event, digest: "other" }), broken: ["ST1"] })];
    }),
  "a joiner loads no state": (history, run) =>
    run.states.flatMap((record) => {
      const spell = record.member.spells.find(({ loads }) => loads.includes(record));
      if (spell?.firstDelivery === undefined) return [];
      return [() => ({ edited: without(history, record.event), broken: ["ST1"] as const })];
    }),
};

describe("an edit of a correct history is found out", () => {
  for (const [name, edits] of Object.entries(EDITS)) {
    test(name, () => {
      let made = 0;
      fc.assert(
        fc.property(seeds, fc.nat(1_000_000), (seed, choice) => {
          const history = correctRun(seed, 400, true);
          const possible = edits(history, arrange(history, { quiescent: true }));
          const edit = possible[choice % possible.length]?.();
          if (edit === undefined || edit.broken.length === 0) return;
          made++;
          const found = check(edit.edited, { quiescent: true }).map(({ property }) => property);
          for (const property of edit.broken) expect(found).toContain(property);
        }),
        { seed: 1, numRuns: 60 },
      );
      expect(made).toBeGreaterThan(5);
    });
  }
});
