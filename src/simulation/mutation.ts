/**
 * Plants a bug of `mutants.ts`: copies the compiled package into a temporary folder, changes one place of one file, and
 * loads `simulate` from there. The simulation needs no npm package, so that the copy runs anywhere; nothing of it stays
 * on the disk once it is loaded. This is a tool around the simulation: the runs themselves stay deterministic.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Directory } from "../protocol/membership/directory.ts";
import type { statementOf } from "../protocol/membership/proof.ts";
import type { GroupKey, isSigned } from "../runtime/secure/group-key.ts";
import type { RecordSeal } from "../runtime/secure/sealed-log.ts";
import type { Sealing } from "../runtime/secure/sealing.ts";
import type { explore } from "./explore/explore.ts";
import type { LogPromise, tryLog } from "./log-trial.ts";
import type { Mutant } from "./mutants.ts";
import type { SimulationOptions, SimulationResult } from "./simulate.ts";
import type { replay } from "./transcript.ts";
import type { World } from "./world.ts";

export type Simulate = (options: SimulationOptions) => SimulationResult;

export interface Hunt {
  readonly mutant: Mutant;
  /** How many seeds were run. */
  readonly seeds: number;
  /** The run that broke the mutant's property, and what else it broke; undefined when no seed did. */
  readonly found:
    | { readonly seed: number; readonly message: string; readonly properties: readonly string[] }
    | undefined;
}

export interface HuntOptions {
  readonly firstSeed?: number;
  readonly seedsMax?: number;
  /** Passed to every run. */
  readonly simulation?: Omit<SimulationOptions, "seed">;
}

const LAYERS = ["base", "wire", "protocol", "runtime", "simulation"];

/** The compiled package that this file belongs to, also when it is itself not compiled. */
function compiledPackage(): string {
  const own = fileURLToPath(import.meta.url);
  const folder = dirname(dirname(own));
  return own.endsWith(".ts") ? join(dirname(folder), "dist") : folder;
}

/** Why the mutant cannot be planted, or undefined: the text to change must be there exactly once. */
export function flawOf(mutant: Mutant<string>): string | undefined {
  const path = join(compiledPackage(), mutant.file);
  if (!existsSync(path)) return `there is no ${path}`;
  const count = readFileSync(path, "utf8").split(mutant.find).length - 1;
  if (count !== 1) return `the text to change is ${count} times in ${mutant.file}, not once`;
  return mutant.find === mutant.replace ? "it changes nothing" : undefined;
}

/** The package's `simulate` with this bug. */
export async function plant(mutant: Mutant): Promise<Simulate> {
  const { simulate } = await loadCopy<{ simulate: Simulate }>("simulation/simulate.js", mutant, false);
  return simulate;
}

/** The package's `replay` of transcripts with this bug. */
export async function plantInReplay(mutant: Mutant): Promise<typeof replay> {
  return (await loadCopy<{ replay: typeof replay }>("simulation/transcript.js", mutant, false)).replay;
}

/** The package's simulated worlds, with a bug or as they are. */
export async function plantInWorld(mutant: Mutant | undefined): Promise<typeof World> {
  return (await loadCopy<{ World: typeof World }>("simulation/world.js", mutant, false)).World;
}

/** The package's trials of the log with this bug. */
export async function plantInLog(mutant: Mutant<LogPromise>): Promise<typeof tryLog> {
  return (await loadCopy<{ tryLog: typeof tryLog }>("simulation/log-trial.js", mutant, false)).tryLog;
}

/** The package's sealing of secure groups, with a bug or as it is. */
export async function plantInSealing(mutant: Mutant | undefined): Promise<typeof Sealing> {
  return (await loadCopy<{ Sealing: typeof Sealing }>("runtime/secure/sealing.js", mutant, false)).Sealing;
}

/** The package's sealing of logs, with a bug or as it is. */
export async function plantInSealedLog(mutant: Mutant | undefined): Promise<{ RecordSeal: typeof RecordSeal }> {
  return await loadCopy("runtime/secure/sealed-log.js", mutant, false);
}

/** What decides who may join a group that has a key, with a bug or as it is. */
export interface Admission {
  readonly Directory: typeof Directory;
  readonly GroupKey: typeof GroupKey;
  readonly isSigned: typeof isSigned;
  readonly statementOf: typeof statementOf;
}

export async function plantInAdmission(mutant: Mutant | undefined): Promise<Admission> {
  const parts = ["protocol/membership/directory.js", "protocol/membership/proof.js", "runtime/secure/group-key.js"];
  const loaded = await loadModules(parts, mutant, false);
  return Object.assign({}, ...loaded) as Admission;
}

/** The package's `explore`, which needs a copy with open fields, with a bug or as it is. */
export async function openExplorer(mutant?: Mutant): Promise<typeof explore> {
  return (await loadCopy<{ explore: typeof explore }>("simulation/explore/explore.js", mutant, true)).explore;
}

/** A module out of a copy of the compiled package, with a bug, and with private fields that anybody can see (`#name` is `$name`). */
async function loadCopy<M>(module: string, mutant: Mutant<string> | undefined, isOpen: boolean): Promise<M> {
  const [loaded] = await loadModules([module], mutant, isOpen);
  return loaded as M;
}

/** Several modules of one copy. */
async function loadModules(
  wanted: readonly string[],
  mutant: Mutant<string> | undefined,
  isOpen: boolean,
): Promise<unknown[]> {
  const flaw = mutant === undefined ? undefined : flawOf(mutant);
  if (flaw !== undefined) throw new Error(`mutant ${mutant?.name}: ${flaw}`);
  const folder = mkdtempSync(join(tmpdir(), "coterie-mutant-"));
  try {
    for (const path of modules()) {
      // Nobody is to look for the source maps of a copy.
      const text = readFileSync(join(compiledPackage(), path), "utf8").replace(/\/\/# sourceMappingURL=.*/, "");
      const changed = path === mutant?.file ? text.replace(mutant.find, () => mutant.replace) : text;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), isOpen ? changed.replace(/#(?=[A-Za-z])/g, "$$") : changed);
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
    return await Promise.all(wanted.map((module) => import(pathToFileURL(join(folder, module)).href)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The compiled modules that a simulation may need. */
function modules(): string[] {
  return LAYERS.flatMap((layer) => {
    const names = readdirSync(join(compiledPackage(), layer), { recursive: true, encoding: "utf8" });
    return names.filter((name) => name.endsWith(".js")).map((name) => join(layer, name));
  });
}

/** Runs seeds until one shows the mutant's bug as a violation of the property that it is to violate. */
export async function hunt(mutant: Mutant, options: HuntOptions = {}): Promise<Hunt> {
  const { firstSeed = 1, seedsMax = 500 } = options;
  const simulation = { ...mutant.simulation, ...options.simulation };
  const simulate = await plant(mutant);
  for (let seed = firstSeed; seed < firstSeed + seedsMax; seed++) {
    const { violations } = simulate({ ...simulation, seed });
    const violation = violations.find(({ property }) => property === mutant.violates);
    if (violation === undefined) continue;
    const properties = [...new Set(violations.map(({ property }) => property))].sort();
    return { mutant, seeds: seed - firstSeed + 1, found: { seed, message: violation.message, properties } };
  }
  return { mutant, seeds: seedsMax, found: undefined };
}
