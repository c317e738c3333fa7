/**
 * `coterie/testing`: what judges a run. `check` judges the recorded history of real or simulated processes by the promises
 * of the model, `diagram` draws it, `simulate` runs the library's own traffic under faults from one seed, and
 * `simulateCluster` and `explore` do the same with the groups and programs of an application. `linearizable` judges what
 * clients saw of a service.
 */
export type { HistoryEvent, HistoryFlavour, HistorySink } from "../protocol/history.ts";
export {
  CHECKERS,
  type Checker,
  type CheckOptions,
  check,
  type Property,
  type Violation,
} from "../simulation/axioms/index.ts";
export { diagram } from "../simulation/diagram.ts";
export { FAULT_KINDS, type FaultKind } from "../simulation/faults.ts";
export { type Histories, type HistoriesOptions, readHistories, type UnreadableLine } from "../simulation/histories.ts";
export {
  type Linearizability,
  type LinearizabilityOptions,
  linearizable,
  type Operation,
  type SequentialModel,
} from "../simulation/linearizability.ts";
export { type MisplacedEvent, type OperationEvent, operationsOf, readOperations } from "../simulation/operations.ts";
export {
  type Call,
  type Outcome,
  type PreparedModel,
  SEQUENTIAL_MODELS,
  type SequentialModelName,
} from "../simulation/sequential-models.ts";
export { type Failure, type SimulationOptions, type SimulationResult, simulate } from "../simulation/simulate.ts";
export type { ClientCall, Clients } from "./clients.ts";
export type { NodeReference, Pattern, SimulatedCluster } from "./cluster.ts";
export { CLUSTER_FAULT_KINDS, type ClusterFault, type ClusterFaultKind } from "./faults.ts";
export type { ReplicaState } from "./instrument.ts";
export type { Predicate, ReplicaOf } from "./invariants.ts";
export type { SimulatedNode } from "./machine.ts";
export type { SimulationSettings } from "./plan.ts";
export { SimulationError } from "./report.ts";
export type { ClusterRun, Scenario } from "./run.ts";
export {
  type Exploration,
  type ExploreOptions,
  explore,
  type SimulateClusterOptions,
  simulateCluster,
} from "./simulate-cluster.ts";
export type { Note, Occurrence, RunFailure, StageLogEntry } from "./stage.ts";
