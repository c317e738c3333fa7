/**
 * One member's copy of a group, as the driver sees it: what is delivered runs here, the state is captured and loaded
 * here, and whatever ends or blocks the membership is told to those who wait. It relies on `Application`'s order of calls.
 */
import type { GroupView, NodeId } from "../protocol/view.ts";
import type {
  Application,
  DeliveryPoint,
  Ending,
  Membership,
  ReplyStatus,
  StateLoader,
  StateReader,
} from "../runtime/application.ts";
import { historyName } from "../runtime/memberships.ts";
import type { Packet } from "../wire/packet.ts";
import { Capabilities } from "./capabilities.ts";
import { LiveViewContext } from "./contexts.ts";
import type { CompiledDefinition } from "./define.ts";
import { Deliveries } from "./deliveries.ts";
import { Diagnostics, type Log } from "./diagnostics.ts";
import { CoterieError, errorOfEnding } from "./errors.ts";
import { Outbox } from "./outbox.ts";
import { type After, Questions } from "./questions.ts";
import { Recorder, type RecordingTo } from "./recorder.ts";
import { SlowMembers } from "./slow-members.ts";
import { type CapturedState, captureState, initialState, Loader } from "./state.ts";

/** What a replica needs of its node, and whom it tells. */
export interface ReplicaParts {
  readonly definition: CompiledDefinition;
  readonly log: Log;
  readonly after: After;
  readonly recording: RecordingTo | undefined;
  /** The replica is a member and has installed its first view. */
  readonly onReady: () => void;
  readonly onEnded: (error: CoterieError) => void;
}

/** Who wants to know what happens to the membership. */
export interface ReplicaListener {
  installed(view: GroupView): void;
  blocked(blocked: boolean): void;
  ended(how: Ending, error: CoterieError): void;
}

export class Replica implements Application {
  readonly definition: CompiledDefinition;
  readonly capabilities: Capabilities;
  readonly diagnostics: Diagnostics;
  readonly outbox: Outbox;
  readonly questions: Questions;
  readonly recorder: Recorder | undefined;
  readonly recordsSends: boolean;
  readonly #parts: ReplicaParts;
  readonly #deliveries: Deliveries;
  readonly #slowMembers: SlowMembers;
  #listener: ReplicaListener | undefined;
  #loader: Loader | undefined;
  /** The view before the next one to be installed. */
  #before: CapturedState["view"] = { number: 0, members: [] };
  #loaded = false;
  /** Why the group could not be brought back. */
  #problem: CoterieError | undefined;
  #membership: Membership | undefined;
  /** Whether the node is being closed. */
  #closing = false;
  /** Whether the join was given up. */
  #unwanted = false;
  /** A view that came before `joined` did. */
  #early: GroupView | undefined;
  #ready = false;
  #blocked = false;
  #ended: CoterieError | undefined;

  /** Makes the initial state. Throws what `state` throws, and when the default codec cannot encode it. */
  constructor(parts: ReplicaParts) {
    const { definition } = parts;
    this.definition = definition;
    const capabilities = new Capabilities(definition);
    this.capabilities = capabilities;
    this.#parts = parts;
    const state = initialState(definition);
    const { name: group, maxMessageBytes: bytesMax } = definition;
    const diagnostics = new Diagnostics(parts.log, group);
    const outbox = new Outbox(diagnostics);
    this.diagnostics = diagnostics;
    this.#slowMembers = new SlowMembers(definition.slowMember, diagnostics);
    this.outbox = outbox;
    this.recorder = parts.recording === undefined ? undefined : new Recorder(parts.recording);
    this.recordsSends = this.recorder !== undefined;
    const { recorder } = this;
    const questions = new Questions({
      group,
      bytesMax,
      capabilities,
      diagnostics,
      outbox,
      after: parts.after,
      recorder,
    });
    this.questions = questions;
    this.#deliveries = new Deliveries({ definition, capabilities, state, diagnostics, outbox, questions, recorder });
  }

  get state(): unknown {
    return this.#deliveries.context.state;
  }

  get view(): GroupView {
    return this.#deliveries.context.view;
  }

  get rank(): number {
    return this.#deliveries.context.rank;
  }

  get self(): NodeId {
    return this.#deliveries.context.self;
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** How the membership ended. */
  get endedWith(): CoterieError | undefined {
    return this.#ended;
  }

  /** From now on this listener is told. */
  listen(listener: ReplicaListener): void {
    this.#listener = listener;
  }

  deliver(packet: Packet, point: DeliveryPoint): void {
    if (this.#ended === undefined) this.#deliveries.deliver(packet, point);
  }

  install(view: GroupView): void {
    if (this.#membership === undefined) {
      this.#early = view;
      return;
    }
    if (this.#ended !== undefined) return;
    const before = this.#before;
    this.#before = view;
    this.#deliveries.installed(view);
    this.#slowMembers.begin();
    this.recorder?.state(view, this.#deliveries.context.state, this.#loaded);
    this.#loaded = false;
    this.#viewed(before);
    this.#listener?.installed(view);
    if (this.#ready) return;
    this.#ready = true;
    this.#parts.onReady();
  }

  revisit(view: GroupView, group: number): void {
    const before = this.#before;
    this.#before = view;
    this.#deliveries.context.group = group;
    this.#deliveries.installed(view);
    this.recorder?.revisited(view, historyName(this.definition.name, group));
    this.#loaded = true;
    this.#viewed(before);
  }

  unrecoverable(detail: string): void {
    const group = this.definition.name;
    this.#problem = new CoterieError("not-recoverable", `the state of group ${group} on this disk: ${detail}`, {
      group,
    });
  }

  capture(): StateReader {
    return captureState(this.definition, this.#deliveries.context.state, this.#deliveries.context.view, (error) => {
      this.diagnostics.counters.callbackFailures++;
      this.diagnostics.report("error", "state-transfer-failed", "capture", "the state could not be captured", error);
    });
  }

  load(): StateLoader {
    this.#loader?.abandon();
    this.recorder?.loading();
    this.#loader = new Loader(this.definition, ({ state, view }) => {
      this.#deliveries.context.state = state;
      this.#before = view;
      this.#loaded = true;
    });
    return this.#loader;
  }

  joined(membership: Membership, _created: boolean): void {
    this.#loader = undefined;
    this.#membership = membership;
    this.#deliveries.begin(membership);
    this.recorder?.begin(membership.self, historyName(membership.name, membership.group));
    this.outbox.open(membership);
    this.questions.open(membership);
    if (this.#unwanted) membership.leave();
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) this.install(early);
  }

  sent(packet: Packet, view: GroupView): void {
    this.recorder?.sent(packet, view);
  }

  rawUnsent(messages: number): void {
    const place = { group: this.definition.name, view: this.view.number };
    this.outbox.rawUnsent(messages, new CoterieError("blocked", "the majority was lost before they left", place));
  }

  rawDropped(messages: number): void {
    this.diagnostics.counters.rawDropped += messages;
  }

  room(): void {
    this.outbox.room();
  }

  slow(member: NodeId, forMs: number): void {
    this.#slowMembers.note(member, forMs, this.#membership);
  }

  blocked(blocked: boolean): void {
    this.#blocked = blocked;
    this.#listener?.blocked(blocked);
  }

  reply(query: number, from: NodeId, status: ReplyStatus, value: Uint8Array): void {
    this.questions.replied(query, from, status, value);
  }

  queryComplete(query: number): void {
    this.questions.complete(query);
  }

  ended(ending: Ending): void {
    if (this.#ended !== undefined) return;
    const how = ending === "left" && this.#closing ? "closed" : ending;
    // A node whose state could not be loaded leaves; that is not why the join failed.
    const error = this.#problem ?? this.#loader?.problem ?? this.endingOf(how);
    this.#ended = error;
    this.#loader?.abandon();
    this.outbox.end(error);
    this.questions.end(error);
    this.#deliveries.end();
    const { onExcluded } = this.definition;
    if (how === "excluded" && onExcluded !== undefined)
      this.diagnostics.callback("onExcluded", () => onExcluded(error));
    this.#listener?.ended(how, error);
    this.#parts.onEnded(error);
  }

  #viewed(before: CapturedState["view"]): void {
    const { onView } = this.definition;
    if (onView === undefined) return;
    this.diagnostics.callback("onView", () => onView(new LiveViewContext(this.#deliveries.context, before.members)));
  }

  /** The join was given up: should the group let this member in all the same, it leaves. */
  giveUp(): void {
    this.#unwanted = true;
    this.outbox.refuse(this.endingOf("left"));
    this.#membership?.leave();
  }

  /** The node is being closed: calls are no longer taken. Calls back when those that wait are with the protocol. */
  close(done: () => void): void {
    this.#closing = true;
    this.outbox.refuse(this.endingOf("closed"));
    this.outbox.afterThese(done);
  }

  /** The error that a call meets when the membership has ended so. */
  endingOf(how: Ending): CoterieError {
    return errorOfEnding(how, this.self, this.definition.name, this.view.number);
  }
}
