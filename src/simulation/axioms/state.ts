/**
 * ST1: a joiner has the state that the others had when its first view began, and everything since.
 *
 * A member is a joiner when it begins a spell of membership with a later view than the group's first, or comes back to
 * the group. Its state must be loaded before its first delivery, and must be that of the first view it installs:
 * that of a later view would repeat messages, that of an earlier one miss those that were delivered in between. It need
 * not be the state that it asked for first, as a transfer may be begun anew at a later view.
 *
 * ST2: a group is lost with its state, not by those who leave it in good order. Judged where somebody hears that it is
 * lost: of all who held the state and are in the newest view, not every one may have left.
 */
import { NEVER, type Run, type Spell, type StateRecord } from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

export const stateCheckers: readonly Checker[] = [
  {
    property: "ST1",
    title: "State transfer: all members begin a view in the same state, and a joiner misses and repeats nothing.",
    check: checkStates,
  },
  {
    property: "ST2",
    title: "Continuity: a group is lost only when a member that held its state crashes or is excluded.",
    check: checkContinuity,
  },
];

function checkStates(run: Run): Violation[] {
  const found = new Findings("ST1", run);
  const first = new Map<string, Map<number, StateRecord>>();
  for (const record of run.states) {
    const { group, node } = record.member;
    const byView = first.get(group.name) ?? new Map<number, StateRecord>();
    first.set(group.name, byView);
    const other = byView.get(record.view);
    if (other === undefined) byView.set(record.view, record);
    else if (other.digest !== record.digest) {
      found.add(
        record.event,
        `${node.id} began view ${record.view} of ${group.name} with state ${record.digest}, ` +
          `${other.member.node.id} with ${other.digest}`,
        node.id,
        group.name,
      );
    }
  }
  for (const node of run.nodes.values()) {
    for (const member of node.members.values()) {
      for (const spell of member.spells) if (isJoiner(spell)) checkJoiner(spell, found);
    }
  }
  return found.violations;
}

function checkContinuity(run: Run): Violation[] {
  const found = new Findings("ST2", run);
  const holders = new Map(run.states.map(({ member }) => [member, member.spells.at(-1)]));
  for (const group of run.groups.values()) {
    const newest = group.views.get(Math.max(...group.views.keys()));
    if (group.lostAt === NEVER || newest === undefined) continue;
    const members = newest.members.flatMap((id) => run.nodes.get(id)?.members.get(group.name) ?? []);
    const held = members.filter((member) => holders.has(member));
    if (held.length === 0 || held.some((member) => holders.get(member)?.why !== "left")) continue;
    const { node = "" } = run.history[group.lostAt] ?? {};
    const names = held.map((member) => member.node.id).join(" ");
    const problem = `all that held its state in view ${newest.number} have left: ${names}`;
    found.add(group.lostAt, `${group.name} is lost for ${node}, though ${problem}`, node, group.name);
  }
  return found.violations;
}

function isJoiner(spell: Spell): boolean {
  const { group, spells } = spell.member;
  if (spell.loads.length > 0 || spell !== spells[0]) return true;
  const begin = spell.stays[0]?.view.number ?? spell.firstDelivery?.view ?? 0;
  return begin > group.lowest;
}

function checkJoiner(spell: Spell, found: Findings): void {
  const { firstDelivery: delivery, loads, member } = spell;
  const { node, group } = member;
  const begin = spell.stays[0];
  const loaded = delivery === undefined ? loads.at(-1) : loads.findLast((load) => load.event < delivery.event);
  if (delivery !== undefined) {
    const name = delivery.message.name;
    if (loaded === undefined) {
      found.add(delivery.event, `${node.id} delivered ${name} before it had loaded a state`, node.id, group.name);
    }
    const late = loads.find((load) => load.event > delivery.event);
    if (late !== undefined) {
      found.add(late.event, `${node.id} loaded a state after it had delivered ${name}`, node.id, group.name);
    }
  }
  if (loaded === undefined || begin === undefined || loaded.view === begin.view.number) return;
  if (loaded.view > begin.view.number) {
    found.add(
      begin.installedAt,
      `${node.id} loaded the state of view ${loaded.view} of ${group.name} and began with view ${begin.view.number}`,
      node.id,
      group.name,
    );
    return;
  }
  for (let number = loaded.view; number < begin.view.number; number++) {
    const missed = group.views.get(number)?.stays.find((stay) => stay.next !== undefined && stay.deliveries.length > 0);
    if (missed === undefined) continue;
    found.add(
      begin.installedAt,
      `${node.id} loaded the state of view ${loaded.view} of ${group.name} and began with view ${begin.view.number}: ` +
        `it misses ${missed.deliveries[0]?.message.name}`,
      node.id,
      group.name,
    );
    return;
  }
}
