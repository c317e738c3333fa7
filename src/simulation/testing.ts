/**
 * `coterie/testing`: what judges a run. `check` judges the recorded history of real or simulated processes by the promises
 * of the model, `diagram` draws it, and `simulate` runs a whole cluster under faults from one seed. `linearizable` judges
 * what clients saw of a service.
 */
export type { HistoryEvent, HistoryFlavour, HistorySink } from "../protocol/history.ts";
export { CHECKERS, type Checker, type CheckOptions, check, type Property, type Violation } from "./axioms/index.ts";
export { diagram } from "./diagram.ts";
export { FAULT_KINDS, type FaultKind } from "./faults.ts";
export {
  type Linearizability,
  type LinearizabilityOptions,
  linearizable,
  type Operation,
  type SequentialModel,
} from "./linearizability.ts";
export { type MisplacedEvent, type OperationEvent, operationsOf } from "./operations.ts";
export {
  type Call,
  type Outcome,
  type PreparedModel,
  SEQUENTIAL_MODELS,
  type SequentialModelName,
} from "./sequential-models.ts";
export { type Failure, type SimulationOptions, type SimulationResult, simulate } from "./simulate.ts";
