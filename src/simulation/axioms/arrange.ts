/**
 * Arranges a history as a `Run` in one pass. It judges nothing: what does not fit (a delivery outside any view, a
 * flush that ends twice) is kept where a checker will find it.
 */
import type { HistoryEvent, HistoryFlavour } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";
import {
  type CheckOptions,
  CLUSTER,
  Delivery,
  type EventOf,
  Flush,
  GroupRun,
  Member,
  Message,
  NEVER,
  NodeRun,
  Query,
  Run,
  Spell,
  type SpellEnd,
  Stay,
  Stream,
  type ViewRun,
} from "./run.ts";

export function arrange(history: readonly HistoryEvent[], options: CheckOptions = {}): Run {
  const run = new Run(history, options);
  for (let index = 0; index < history.length; index++) add(run, history[index] as HistoryEvent, index);
  return run;
}

function add(run: Run, event: HistoryEvent, index: number): void {
  switch (event.kind) {
    case "deliver":
      deliver(run, event, index);
      return;
    case "send":
      send(run, event, index);
      return;
    case "install":
      install(run, event, index);
      return;
    case "start": {
      const node = nodeOf(run, event.node);
      node.stoppedAt = NEVER;
      node.disk = event.disk;
      return;
    }
    case "crash":
      stop(nodeOf(run, event.node), index, "crashed");
      return;
    case "close":
      stop(nodeOf(run, event.node), index, "closed");
      return;
    case "exclude":
      stop(nodeOf(run, event.node), index, "excluded");
      return;
    case "blocked":
    case "unblocked":
      nodeOf(run, event.node).blocked = event.kind === "blocked";
      return;
    case "accept":
      run.accepts.push(index);
      return;
    case "adopt": {
      const view = memberOf(run, event.node, CLUSTER).group.view(event.number);
      describe(view, event, index);
      view.adoptedAt.push(index);
      return;
    }
    case "directory":
      run.directorySteps.push(index);
      return;
    case "end": {
      const member = memberOf(run, event.node, event.group);
      if (event.why === "lost" && member.group.lostAt === NEVER) member.group.lostAt = index;
      endSpell(member, index, event.why);
      return;
    }
    case "flush-begin": {
      const member = memberOf(run, event.node, event.group);
      const flush = new Flush(event.flush, member, index, event.copies);
      member.node.flushes.set(event.flush, flush);
      run.flushes.push(flush);
      return;
    }
    case "flush-end":
      endFlush(run, event, index);
      return;
    case "query": {
      const query = queryOf(run, event.query);
      query.caller = memberOf(run, event.node, event.group);
      query.askedAt = index;
      query.wanted = event.wanted;
      query.audience = event.audience;
      return;
    }
    case "reply":
      queryOf(run, event.query).replies.push({ event: index, reply: event });
      return;
    case "query-end":
      queryOf(run, event.query).ends.push({ event: index, end: event });
      return;
    case "recover":
      run.recoveries.push({
        event: index,
        member: memberOf(run, event.node, event.group),
        view: event.view,
        since: event.since ?? 0,
        messages: event.messages,
      });
      return;
    case "state": {
      const member = memberOf(run, event.node, event.group);
      const record = { event: index, member, view: event.view, digest: event.digest, loaded: event.loaded };
      run.states.push(record);
      if (!event.loaded) return;
      member.spell ??= new Spell(member);
      member.spell.loads.push(record);
    }
  }
}

function nodeOf(run: Run, id: NodeId): NodeRun {
  let node = run.nodes.get(id);
  if (node === undefined) {
    node = new NodeRun(id, run.nodes.size);
    run.nodes.set(id, node);
  }
  return node;
}

function memberOf(run: Run, id: NodeId, groupName: string): Member {
  const node = nodeOf(run, id);
  const known = node.members.get(groupName);
  if (known !== undefined) return known;
  let group = run.groups.get(groupName);
  if (group === undefined) {
    group = new GroupRun(groupName);
    run.groups.set(groupName, group);
  }
  const member = new Member(node, group);
  node.members.set(groupName, member);
  return member;
}

function messageOf(run: Run, name: string): Message {
  let message = run.messages.get(name);
  if (message === undefined) {
    message = new Message(name, run.messages.size);
    run.messages.set(name, message);
  }
  return message;
}

function queryOf(run: Run, name: string): Query {
  const message = messageOf(run, name);
  if (message.query === undefined) {
    message.query = new Query(message);
    run.queries.push(message.query);
  }
  return message.query;
}

function install(run: Run, event: EventOf<"install">, index: number): void {
  const member = memberOf(run, event.node, event.group);
  const view = member.group.view(event.number);
  describe(view, event, index);
  if (event.number < member.group.lowest) member.group.lowest = event.number;
  member.spell ??= new Spell(member);
  const spell = member.spell;
  const stay = new Stay(spell, view, index);
  if (stay.previous !== undefined) stay.previous.next = stay;
  member.stay = stay;
  spell.stays.push(stay);
  view.stays.push(stay);
  run.stays.push(stay);
}

/** The first event that is about a view says what it is like. */
function describe(view: ViewRun, event: EventOf<"install" | "adopt">, index: number): void {
  if (view.installedAt !== NEVER) return;
  view.installedAt = index;
  view.members = event.members;
  view.nodes = event.nodes;
  view.votes = event.votes;
  view.proposal = event.proposal;
}

function endSpell(member: Member, index: number, why: SpellEnd): void {
  const spell = member.spell;
  if (spell === undefined) return;
  spell.overAt = index;
  spell.why = why;
  member.spell = undefined;
  member.stay = undefined;
}

function stop(node: NodeRun, index: number, why: SpellEnd): void {
  if (why === "excluded") node.excludedAt = index;
  else node.stoppedAt = index;
  for (const member of node.members.values()) endSpell(member, index, why);
}

const FLAVOUR_INDEX: Readonly<Record<HistoryFlavour, number>> = { fifo: 0, causal: 1, total: 2, safe: 3, raw: 4 };

function send(run: Run, event: EventOf<"send">, index: number): void {
  const member = memberOf(run, event.node, event.group);
  const message = messageOf(run, event.message);
  if (message.sentAt !== NEVER) {
    message.sentAgainAt = index;
    return;
  }
  message.sentAt = index;
  const flavour = FLAVOUR_INDEX[event.flavour];
  let stream = member.streams[flavour];
  if (stream === undefined || stream.view.number !== event.view) {
    stream = new Stream(member.node, member.group.view(event.view), event.flavour);
    member.streams[flavour] = stream;
  }
  message.stream = stream;
  message.place = stream.messages.length;
  stream.messages.push(message);
  member.stay?.sends.push(message);
  if (member.stay?.view.number !== event.view && event.flavour !== "raw") run.straySends.push(index);
}

function deliver(run: Run, event: EventOf<"deliver">, index: number): void {
  const member = memberOf(run, event.node, event.group);
  const message = messageOf(run, event.message);
  const again = message.deliveredBy(member.node);
  const delivery = new Delivery(index, message, member, event.view, event.sender, event.flavour, again);
  run.deliveries.push(delivery);
  if (message.stream?.sender === member.node) message.ownDelivery ??= delivery;
  if (again) return;
  const first = !message.delivered;
  message.noteDelivery(member.node);
  if (event.flavour === "raw") return;

  if (member.spell === undefined && member.spells.length === 0) member.spell = new Spell(member);
  if (member.spell !== undefined) member.spell.firstDelivery ??= delivery;
  const stay = member.stay;
  if (stay === undefined) return;
  stay.deliveries.push(delivery);
  if (event.flavour === "causal") stay.causalCount++;
  if (event.flavour === "total" || event.flavour === "safe") stay.ordered.push(delivery);
  if (event.flavour === "safe") {
    stay.safeCount++;
    if (first) stay.view.safe.push(message);
  }
}

function endFlush(run: Run, event: EventOf<"flush-end">, index: number): void {
  const member = memberOf(run, event.node, event.group);
  const flush = member.node.flushes.get(event.flush);
  if (flush === undefined) {
    run.strayFlushEnds.push(index);
    return;
  }
  if (flush.endedAt !== NEVER) {
    flush.endedAgainAt = index;
    return;
  }
  flush.endedAt = index;
  flush.held = event.outcome === "held";
  flush.abandoned = event.outcome === "abandoned";
  flush.endStay = flush.spell?.stays.at(-1);
}
