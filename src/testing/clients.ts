/**
 * What clients of a group see, as a history of calls and returns that must be linearizable: as if each call had taken
 * effect at one moment between its beginning and its end. A call whose outcome nobody knows, because its process has
 * crashed or its membership has ended, may have taken effect or not.
 */
import { CoterieError } from "../group/errors.ts";
import { linearizable } from "../simulation/linearizability.ts";
import { type OperationEvent, operationsOf } from "../simulation/operations.ts";
import type { Call, PreparedModel } from "../simulation/sequential-models.ts";
import { describe, type Stage } from "./stage.ts";

/** A call as the model knows it. */
export interface ClientCall {
  /** Who calls; matters to a lock, and such a client has one call open at a time. Default: each call is a client's own. */
  readonly client?: string;
  readonly operation: string;
  /** The object, or the key in a map. */
  readonly key?: string;
  readonly value?: unknown;
}

/** The clients of one kind of object. */
export interface Clients {
  /**
   * Does `work`, and takes what it resolves with for what the call returned (undefined: only that it took effect). Settles
   * as `work` does.
   */
  call<T>(call: ClientCall, work: () => PromiseLike<T>): Promise<T>;
}

/** After such a failure nobody knows whether the call took effect; after others it has not. */
const UNKNOWN: ReadonlySet<string> = new Set(["outcome-unknown", "timeout", "crashed", "handler-failed"]);

export class RecordedClients implements Clients {
  readonly #stage: Stage;
  readonly #model: PreparedModel;
  readonly #events: OperationEvent[] = [];
  /** The event of the run's history at each of these. */
  readonly #places: number[] = [];
  #calls = 0;

  constructor(stage: Stage, model: PreparedModel) {
    this.#stage = stage;
    this.#model = model;
  }

  async call<T>(call: ClientCall, work: () => PromiseLike<T>): Promise<T> {
    const { operation, key = "", value } = call;
    const client = call.client ?? `call ${++this.#calls}`;
    const at = this.#stage.world.now;
    const problem = this.#model.problemOf({ client, operation, key, value });
    if (problem !== undefined) throw new CoterieError("invalid-argument", `call: ${problem}`);
    this.#record({ kind: "invoke", at, client, operation, key, value });
    try {
      const result = await work();
      this.#record({ kind: "return", at: this.#stage.world.now, client, outcome: "ok", value: result });
      return result;
    } catch (error) {
      const isUnknown = !(error instanceof CoterieError) || UNKNOWN.has(error.code);
      this.#record({ kind: "return", at: this.#stage.world.now, client, outcome: isUnknown ? "unknown" : "fail" });
      throw error;
    }
  }

  /** Fails the run if what was seen is not linearizable. */
  judge(): void {
    const { operations, misplaced } = operationsOf(this.#events, this.#model);
    const [slip] = misplaced;
    if (slip !== undefined) this.#fail(slip.event, slip.problem);
    const judged = linearizable(this.#model, operations);
    if (judged.verdict === "undecided") this.#stage.fail("linearizable", "there are too many orders to look at");
    if (judged.verdict !== "violated") return;
    const { operation, order, states } = judged;
    const before = order.slice(-BEFORE_MAX).map(({ input }) => textOf(input));
    const held = states.map((state) => JSON.stringify(state)).join(" or ");
    const returned = JSON.stringify(operation.output?.value) ?? "nothing";
    this.#fail(
      operation.returnedAt,
      `${textOf(operation.input)} returned ${returned}, after ${before.join(", ") || "nothing"}; the state was ${held}`,
    );
  }

  #fail(place: number, message: string): void {
    const event = this.#places[place] ?? 0;
    const at = this.#events[place]?.at ?? 0;
    this.#stage.failures.push({ property: "linearizable", message, at, event });
  }

  #record(event: OperationEvent): void {
    this.#events.push(event);
    this.#places.push(Math.max(0, this.#stage.world.history.length - 1));
  }
}

const BEFORE_MAX = 4;

function textOf({ operation, key, value }: Call): string {
  return `${operation}(${[key, value]
    .filter((part) => part !== undefined && part !== "")
    .map(describeValue)
    .join(", ")})`;
}

function describeValue(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? describe(value));
}
