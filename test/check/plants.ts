/**
 * One broken promise each, planted into a history that keeps them all: what a broken node would have written. A plant
 * gives undefined for a history that has no place for it.
 */
import type { HistoryEvent } from "../../src/protocol/history.ts";
import type { Property } from "../../src/simulation/axioms/index.ts";

type Of<Kind extends HistoryEvent["kind"]> = Extract<HistoryEvent, { kind: Kind }>;
type History = readonly HistoryEvent[];
type Plant = (history: History) => History | undefined;

export const PLANTS: { readonly [P in Property]: Plant } = {
  /** A member installs a view that leaves it out. */
  M1: (history) =>
    changed(
      history,
      "install",
      ({ group, members }) => group !== "" && members.length > 1,
      (event) => ({
        ...event,
        members: event.members.filter((member) => member !== event.node),
      }),
    ),
  /** A member installs a view again, after the next. */
  M2: (history) => {
    const at = history.findIndex(
      (event, index) => event.kind === "install" && earlierInstall(history, index) !== undefined,
    );
    return at < 0 ? undefined : history.toSpliced(at + 1, 0, earlierInstall(history, at) as HistoryEvent);
  },
  /** A cluster view is installed that nobody has accepted. */
  M3: (history) => {
    const view = history.find(
      (event): event is Of<"install"> => event.kind === "install" && event.group === "" && event.number === 2,
    );
    if (view === undefined) return undefined;
    return history.filter((event) => event.kind !== "accept" || event.number !== 2 || event.proposal !== view.proposal);
  },
  /** An excluded member goes on delivering. */
  M4: (history) => {
    const at = history.findIndex(({ kind }) => kind === "exclude");
    const node = history[at]?.node;
    const last = history.findLast((event): event is Of<"deliver"> => event.kind === "deliver" && event.node === node);
    return at < 0 || last === undefined ? undefined : history.toSpliced(at + 1, 0, last);
  },
  /** A node's directory is another than the others'. */
  B1: (history) =>
    changed(
      history,
      "directory",
      ({ index, node }) =>
        history.some((event) => event.kind === "directory" && event.index === index && event.node !== node),
      (event) => ({
        ...event,
        digest: "planted",
      }),
    ),
  /** A message is delivered twice. */
  D1: (history) => {
    const at = history.findIndex(({ kind }) => kind === "deliver");
    return at < 0 ? undefined : history.toSpliced(at, 0, history[at] as HistoryEvent);
  },
  /** A message of one view is delivered as of the next. */
  D2: (history) =>
    changed(
      history,
      "deliver",
      () => true,
      (event) => ({ ...event, view: event.view + 1 }),
    ),
  /** Of two that go on together one has not delivered what a third had sent. */
  D3: (history) => without(history, (event) => event.node !== event.sender && goesOn(history, event)),
  /** A sender goes on without having delivered what it sent. */
  D4: (history) => without(history, (event) => event.node === event.sender && goesOn(history, event)),
  /** Two messages of one sender are delivered in the other order. */
  D5: (history) => swapped(history, (a, b) => a.sender === b.sender && a.flavour === "fifo" && b.flavour === "fifo"),
  /** A causal message is delivered before one that its sender had delivered when it sent it. */
  D6: (history) =>
    swapped(history, (a, b) => {
      if (a.flavour !== "causal" || b.flavour !== "causal" || a.sender === b.sender) return false;
      const sent = history.findIndex((event) => event.kind === "send" && event.message === b.message);
      return history
        .slice(0, sent)
        .some((event) => event.kind === "deliver" && event.node === b.sender && event.message === a.message);
    }),
  /** One member delivers two messages in another order than the others. */
  D7: (history) =>
    swapped(history, (a, b) => isOrdered(a) && isOrdered(b) && a.sender !== b.sender && goesOn(history, a)),
  /** One of those who go on has not delivered what another delivered as safe. */
  D8: (history) => without(history, (event) => event.flavour === "safe" && goesOn(history, event)),
  /** Who has joined later delivers a raw message of an earlier view. */
  D9: (history) => {
    const views = new Map<string, readonly string[]>();
    const sent: Of<"send">[] = [];
    for (const [index, event] of history.entries()) {
      if (event.kind === "send" && event.flavour === "raw") sent.push(event);
      if (event.kind !== "install") continue;
      const { node, group, number: view, members } = event;
      views.set(`${group} ${view}`, members);
      const raw = sent.find(
        (send) =>
          send.group === group &&
          members.includes(send.node) &&
          views.get(`${group} ${send.view}`)?.includes(node) === false,
      );
      if (raw === undefined) continue;
      const { message, node: sender, flavour } = raw;
      const delivery: HistoryEvent = { kind: "deliver", at: 0, node, group, view, message, sender, flavour };
      return history.toSpliced(index + 1, 0, delivery);
    }
    return undefined;
  },
  /** One of those who go on lacks what was sent before a flush that was held. */
  F1: (history) =>
    without(history, (event) => {
      if (event.node === event.sender || !goesOn(history, event)) return false;
      const sent = history.findIndex((other) => other.kind === "send" && other.message === event.message);
      return history.some(
        (end) =>
          end.kind === "flush-end" &&
          end.outcome === "held" &&
          end.node === event.sender &&
          history.findIndex(
            (begin) => begin.kind === "flush-begin" && begin.flush === end.flush && begin.copies === undefined,
          ) > sent,
      );
    }),
  /** A flush is rejected, though its member stays. */
  F2: (history) => {
    const ends = new Set(["close", "exclude", "end"]);
    const gone = new Set(history.filter(({ kind }) => ends.has(kind)).map(({ node }) => node));
    return changed(
      history,
      "flush-end",
      ({ outcome, node }) => outcome === "held" && !gone.has(node),
      (event) => ({ ...event, outcome: "rejected" }),
    );
  },
  /** A query is complete without the answer of a member. */
  Q1: (history) => {
    const end = history.find(
      (event): event is Of<"query-end"> => event.kind === "query-end" && event.outcome === "complete",
    );
    const at = history.findIndex((event) => event.kind === "reply" && event.query === end?.query);
    return at < 0 ? undefined : history.toSpliced(at, 1);
  },
  /** An ordered query runs at another place at one member. */
  Q2: (history) => {
    const queries = new Set(history.map((event) => (event.kind === "query" ? event.query : "")));
    return swapped(history, (a, b) => isOrdered(a) && isOrdered(b) && queries.has(a.message) && goesOn(history, a));
  },
  /** A member begins a view in another state than the others. */
  ST1: (history) =>
    changed(
      history,
      "state",
      ({ group, view, node }) =>
        history.some(
          (event) => event.kind === "state" && event.group === group && event.view === view && event.node !== node,
        ),
      (event) => ({
        ...event,
        digest: "planted",
      }),
    ),
  /** All members leave in good order, and one that was about to join hears that the group is lost. */
  ST2: (history) => {
    const newest = history.findLast((event): event is Of<"install"> => event.kind === "install" && event.group !== "");
    if (newest === undefined) return undefined;
    const { at } = history.at(-1) as HistoryEvent;
    const { group } = newest;
    const ended = newest.members.map((node): HistoryEvent => ({ kind: "end", at, node, group, why: "left" }));
    const node = "late#00000000";
    return [...history, ...ended, { kind: "start", at, node }, { kind: "end", at, node, group, why: "lost" }];
  },
  /** A group is brought back without anything. */
  R1: (history) => broughtBack(history, () => []),
  /** A message is applied twice. */
  R2: (history) => broughtBack(history, (messages) => [...messages, ...messages]),
  /** The order is another one. */
  R3: (history) => broughtBack(history, (messages) => messages.toReversed()),
};

/** At the end the member that has delivered the first safe message brings its group back, with some of what it had delivered. */
function broughtBack(
  history: History,
  messagesOf: (delivered: readonly string[]) => readonly string[],
): History | undefined {
  const safe = history.find((event): event is Of<"deliver"> => event.kind === "deliver" && event.flavour === "safe");
  if (safe === undefined) return undefined;
  const { node, group } = safe;
  const delivered = history.flatMap((event) =>
    event.kind === "deliver" && event.node === node && event.group === group ? event.message : [],
  );
  const at = history.at(-1)?.at ?? 0;
  return [...history, { kind: "recover", at, node, group, view: 1_000_000, messages: messagesOf(delivered) }];
}

function changed<Kind extends HistoryEvent["kind"]>(
  history: History,
  kind: Kind,
  fits: (event: Of<Kind>) => boolean,
  change: (event: Of<Kind>) => HistoryEvent,
): History | undefined {
  const at = history.findIndex((event) => event.kind === kind && fits(event as Of<Kind>));
  return at < 0 ? undefined : history.with(at, change(history[at] as Of<Kind>));
}

function without(history: History, fits: (event: Of<"deliver">) => boolean): History | undefined {
  const at = history.findIndex((event) => event.kind === "deliver" && event.flavour !== "raw" && fits(event));
  return at < 0 ? undefined : history.toSpliced(at, 1);
}

/** Two deliveries of one view at one member, with nothing between them there, change places. */
function swapped(
  history: History,
  fits: (first: Of<"deliver">, second: Of<"deliver">) => boolean,
): History | undefined {
  const last = new Map<string, number>();
  for (const [index, event] of history.entries()) {
    const before = last.get(event.node) ?? -1;
    last.set(event.node, index);
    const other = history[before];
    if (event.kind !== "deliver" || other?.kind !== "deliver") continue;
    if (other.group !== event.group || other.view !== event.view || !fits(other, event)) continue;
    return history.with(before, event).with(index, other);
  }
  return undefined;
}

function isOrdered({ flavour }: Of<"deliver">): boolean {
  return flavour === "total" || flavour === "safe";
}

/** The member installs the next view, together with another that delivered the message. */
function goesOn(history: History, { node, group, view, message }: Of<"deliver">): boolean {
  const nexts = history.filter(
    (event) => event.kind === "install" && event.group === group && event.number === view + 1,
  );
  return (
    nexts.some((next) => next.node === node) &&
    nexts.some(
      (next) =>
        next.node !== node &&
        history.some((event) => event.kind === "deliver" && event.node === next.node && event.message === message),
    )
  );
}

function earlierInstall(history: History, at: number): Of<"install"> | undefined {
  const event = history[at] as Of<"install">;
  return history
    .slice(0, at)
    .find(
      (other): other is Of<"install"> =>
        other.kind === "install" &&
        other.node === event.node &&
        other.group === event.group &&
        other.number < event.number,
    );
}
