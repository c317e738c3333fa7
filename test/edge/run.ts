/**
 * Runs the built command line as its users do: another process, its output and its exit code.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const CLI = fileURLToPath(new URL("../../dist/edge/cli.js", import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout, as JSON. */
  readonly json: unknown;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
  /** Resolves when stdout holds this; rejects when the process ends without it. */
  shows(text: string): Promise<void>;
}

export function launch(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
  const env = { ...process.env, NO_COLOR: undefined, FORCE_COLOR: undefined, ...environment };
  return follow(spawn(process.execPath, [CLI, ...args], { env, stdio: ["ignore", "pipe", "pipe"] }));
}

export function follow(child: ChildProcess): Running {
  let stdout = "";
  let stderr = "";
  const looks = new Set<() => void>();
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const look of [...looks]) look();
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr, json: lastLine(stdout) }));
  });
  const shows = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!stdout.includes(text)) return;
        looks.delete(look);
        resolve();
      };
      looks.add(look);
      look();
      ended.then(() => reject(new Error(`it ended without "${text}": ${stdout}${stderr}`)), reject);
    });
  return { child, ended, shows };
}

export function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return launch(args, environment).ended;
}

function lastLine(text: string): unknown {
  const line = text.trimEnd().split("\n").at(-1) ?? "";
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
