/**
 * What a checker says, and what a checker is. Each is named after the sentence of the model that it judges.
 */
import type { NodeId } from "../../protocol/view.ts";
import type { Run } from "./run.ts";

export type Property =
  | "M1"
  | "M2"
  | "M3"
  | "M4"
  | "D1"
  | "D2"
  | "D3"
  | "D4"
  | "D5"
  | "D6"
  | "D7"
  | "D8"
  | "D9"
  | "B1"
  | "F1"
  | "F2"
  | "Q1"
  | "Q2"
  | "ST1"
  | "ST2"
  | "R1"
  | "R2"
  | "R3";

/** A place where a history does not keep a promise of the model. */
export interface Violation {
  readonly property: Property;
  readonly message: string;
  /** The index in the history of the event at which the promise was broken. */
  readonly event: number;
  readonly node?: NodeId;
  readonly group?: string;
}

/** A promise of the model with the function that judges it. */
export interface Checker {
  readonly property: Property;
  /** The promise, in one sentence. */
  readonly title: string;
  readonly check: (run: Run) => Violation[];
}

/** Collects the violations of one property: only the first few, because one bug breaks a promise many times. */
export class Findings {
  readonly violations: Violation[] = [];
  readonly #property: Property;
  readonly #violationsMax: number;

  constructor(property: Property, run: Run) {
    this.#property = property;
    this.#violationsMax = run.violationsMax;
  }

  add(event: number, message: string, node?: NodeId, group?: string): void {
    if (this.violations.length >= this.#violationsMax) return;
    this.violations.push({
      property: this.#property,
      message,
      event,
      ...(node === undefined ? {} : { node }),
      ...(group === undefined ? {} : { group }),
    });
  }
}
