/**
 * A worker thread that runs seeds as they are asked for, one after the other.
 */
import { parentPort, workerData } from "node:worker_threads";
import { plant, type Simulate } from "../../simulation/mutation.ts";
import { simulate } from "../../simulation/simulate.ts";
import { mutantNamed } from "./mutants.ts";
import { outcomeOf, type WorkerAnswer, type WorkerSetup } from "./seed.ts";

const setup = workerData as WorkerSetup;
const prepared = prepare();

function prepare(): Promise<Simulate> {
  return setup.mutant === undefined ? Promise.resolve(simulate) : plant(mutantNamed(setup.mutant));
}

function answer(message: WorkerAnswer): void {
  parentPort?.postMessage(message);
}

async function work(seed: number): Promise<void> {
  let run: Simulate;
  try {
    run = await prepared;
  } catch (problem) {
    answer({ kind: "unfit", problem: problem instanceof Error ? problem.message : String(problem) });
    return;
  }
  answer({ kind: "outcome", outcome: outcomeOf(run({ ...setup.simulation, seed }), setup) });
}

// Whether the preparation fails is told to whoever asks for a seed.
prepared.catch(() => {});
parentPort?.on("message", (seed: number) => void work(seed));
