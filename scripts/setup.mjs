// Makes the working tree ready to run: installs the dependencies and builds dist/, each only when needed.
//
//   node scripts/setup.mjs              install and build
//   node scripts/setup.mjs --no-build   install only
//   node scripts/setup.mjs --rebuild    build even if dist/ is up to date
//
// It needs nothing but Node.js and npm, prints only to stderr, and may run several times at once.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const installStamp = join(modules, ".coterie-install");
const buildStamp = join(modules, ".coterie-build");
const dist = join(root, "dist");
const staleLockMilliseconds = 15 * 60_000;

const options = process.argv.slice(2);
const build = !options.includes("--no-build");
const rebuild = options.includes("--rebuild");

try {
  await setUp();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function setUp() {
  const unknown = options.find((option) => option !== "--no-build" && option !== "--rebuild");
  if (unknown !== undefined) throw new Error(`unknown option ${unknown}`);
  if (!installNeeded() && !(build && buildNeeded())) return;
  const release = lock();
  try {
    if (installNeeded()) install();
    if (build && buildNeeded()) await compile();
  } finally {
    release();
  }
}

function installNeeded() {
  return readText(installStamp) !== installKey();
}

/** What the installed packages depend on: the lock file, and the platform that optional packages are chosen for. */
function installKey() {
  const lockFile = readFileSync(join(root, "package-lock.json"));
  const hash = createHash("sha256").update(lockFile).digest("hex");
  return `${hash} ${process.platform} ${process.arch}\n`;
}

function install() {
  say("installing dependencies (npm ci)");
  const key = installKey();
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  run(npm, ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--include=dev"], process.platform === "win32");
  writeFileSync(installStamp, key);
}

function buildNeeded() {
  return rebuild || !existsSync(dist) || readText(buildStamp) !== buildKey();
}

/** What dist/ depends on: the contents of all sources and settings, and the compiler. */
function buildKey() {
  const hash = createHash("sha256").update(installKey());
  const settings = ["tsconfig.json", "tsconfig.build.json", "scripts/setup.mjs"].map((file) => join(root, file));
  const files = [...settings, ...sources(join(root, "src"))];
  for (const file of files) {
    const content = readFileSync(file);
    hash.update(`${relative(root, file).split(sep).join("/")} ${content.length}\n`).update(content);
  }
  return `${hash.digest("hex")}\n`;
}

function sources(folder) {
  if (!existsSync(folder)) return [];
  const found = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...sources(path));
    else if (!/\.test(-d)?\.ts$/.test(entry.name)) found.push(path);
  }
  return found.sort();
}

/** Compiles into a new folder and then swaps it in, so that dist/ never holds half a build or files without a source. */
async function compile() {
  say("building dist");
  const key = buildKey();
  const fresh = join(root, `.dist-${process.pid}`); // beside dist/, so that source maps hold after the move
  const old = `${fresh}-old`;
  rmSync(fresh, { recursive: true, force: true });
  try {
    const compiler = join(modules, "typescript", "bin", "tsc");
    run(process.execPath, [compiler, "-p", "tsconfig.build.json", "--outDir", fresh]);
    await bundle(fresh);
    const commandLine = join(fresh, "edge", "cli.js");
    if (existsSync(commandLine)) chmodSync(commandLine, 0o755);
    if (existsSync(dist)) renameSync(dist, old);
    renameSync(fresh, dist);
    writeFileSync(buildStamp, key);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
    rmSync(old, { recursive: true, force: true });
  }
}

/**
 * Puts what the two entry points import into one file each, and one for what they share: a program that imports the
 * library opens three files instead of more than a hundred. Nothing imports an entry point from within.
 */
async function bundle(folder) {
  const esbuild = await import("esbuild"); // perhaps installed a moment ago
  await esbuild.build({
    entryPoints: [join(root, "src/index.ts"), join(root, "src/testing/index.ts")],
    outbase: join(root, "src"),
    outdir: folder,
    bundle: true,
    splitting: true,
    chunkNames: "shared-[hash]",
    platform: "node",
    target: "node20.19",
    format: "esm",
    packages: "external",
    sourcemap: true,
    logLevel: "error",
  });
}

/** Runs a program quietly: what it printed is shown only if it fails. */
function run(program, args, shell = false) {
  const result = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    shell,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (result.error === undefined && result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  throw new Error(`${program} ${args.join(" ")} failed: ${result.error?.message ?? `exit code ${result.status}`}`);
}

/** Waits for other runs of this script on the same tree. The lock is a folder, because making one is atomic. */
function lock() {
  const name = createHash("sha256").update(root).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), `coterie-setup-${name}.lock`);
  const ownerFile = join(folder, "pid");
  let waiting = false;
  for (;;) {
    try {
      mkdirSync(folder);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (abandoned(folder, ownerFile)) {
      rmSync(folder, { recursive: true, force: true });
      continue;
    }
    if (!waiting) say("waiting for another setup of this folder");
    waiting = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  writeFileSync(ownerFile, String(process.pid));
  return () => rmSync(folder, { recursive: true, force: true });
}

function abandoned(folder, ownerFile) {
  let age;
  try {
    age = Date.now() - statSync(folder).mtimeMs;
  } catch {
    return false;
  }
  const owner = Number(readText(ownerFile) || Number.NaN);
  if (Number.isNaN(owner)) return age > 5_000;
  return !isAlive(owner) || age > staleLockMilliseconds;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function readText(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}
