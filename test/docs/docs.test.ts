/**
 * The documents are true as far as a machine can tell: their examples compile, the first program runs, links lead
 * somewhere, and lists that the code also holds are the same. `UPDATE_DOCS=1` writes the generated parts anew.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lostClaim } from "../../examples/testing/lost-claim.ts";
import { type CoterieError, defineGroup, ERROR_CODES, start } from "../../src/index.ts";
import { message } from "../../src/protocol/messages.ts";
import { CHECKERS } from "../../src/simulation/axioms/index.ts";
import { FAULT_KINDS } from "../../src/simulation/faults.ts";
import { listMutants } from "../../src/simulation/mutants.ts";
import { type SimulationError, simulateCluster } from "../../src/testing/index.ts";
import { Reader } from "../../src/wire/reader.ts";
import { modulesOf, snippetsOf } from "./snippets.ts";

/** All examples and the sources behind them: seconds, but many on a busy machine. */
const COMPILE_MS_MAX = 300_000;
const RUN_MS_MAX = 120_000;

const root = resolve(import.meta.dirname, "../..");
const documents = [
  "README.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
];

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cd-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("examples", () => {
  test(
    "compile against the sources, strictly",
    () => {
      const sources = new Map<string, string>();
      for (const document of documents) {
        for (const { line, text } of modulesOf(read(document))) {
          const name = `${document.replaceAll(/[^A-Za-z]/g, "_")}_${line}.ts`;
          sources.set(name, document);
          writeFileSync(join(folder, name), text);
        }
      }
      expect(sources.size).toBeGreaterThan(10);
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(configuration([...sources.keys()])));
      const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
      const { stdout } = spawnSync(process.execPath, [compiler, "--pretty", "false", "-p", folder], {
        cwd: folder,
        encoding: "utf8",
      });
      // A complaint names the line of the document.
      const complaints = stdout.replaceAll(/^\S*?(\w+\.ts)\((\d+),/gm, (whole, file: string, line: string) => {
        const document = sources.get(file);
        return document === undefined ? whole : `${document}:${line} (`;
      });
      expect(complaints).toBe("");
    },
    COMPILE_MS_MAX,
  );

  function configuration(files: readonly string[]): object {
    return {
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        rootDir: "/",
        paths: {
          coterie: [join(root, "src", "index.ts")],
          "coterie/testing": [join(root, "src", "testing", "index.ts")],
        },
        noUnusedLocals: false,
        noUnusedParameters: false,
      },
      include: [],
      exclude: [],
      files,
    };
  }

  test("the first of the README is the heart of the program in examples/", () => {
    const [first] = snippetsOf(read("README.md"));
    const program = first?.code.join("\n") ?? "";
    const heart = program.slice(program.indexOf("const prices"), program.indexOf("const replies"));
    expect(heart).toContain("await group.safeSend.set(");
    expect(read("examples/prices.ts")).toContain(heart);
  });

  test(
    "the program of the README founds a cluster alone, answers and leaves",
    async () => {
      const [first] = snippetsOf(read("README.md"));
      const library = pathToFileURL(join(root, "src", "index.ts")).href;
      const program = join(folder, "program.ts");
      writeFileSync(program, `${first?.code.join("\n").replace('"coterie"', JSON.stringify(library))}\n`);
      const child = spawn(process.execPath, ["--import", "tsx", program], {
        cwd: folder,
        // Its rendezvous directory is below the directory for temporary files.
        env: { ...process.env, TMPDIR: folder },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const [output, problems] = [child.stdout, child.stderr].map((stream) => textOf(stream));
      const code = await new Promise((done) => child.once("close", done));
      expect({ code, problems: await problems }).toEqual({ code: 0, problems: "" });
      expect(await output).toMatch(/^prices members: (\S+#[0-9a-f]{8})\n\1 20\.75\n$/);
    },
    RUN_MS_MAX,
  );

  test(
    "the members of examples/primes.ts share the work, and count all primes",
    async () => {
      const run = (): { readonly child: ChildProcessWithoutNullStreams; readonly lines: AsyncIterator<string> } => {
        const child = spawn(process.execPath, ["--import", "tsx", join(root, "examples", "primes.ts")], {
          cwd: root,
          env: { ...process.env, TMPDIR: folder },
        });
        child.stderr.resume();
        return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
      };
      const first = run();
      expect((await first.lines.next()).value).toContain("member 0 of 1");
      const second = run();
      expect((await second.lines.next()).value).toContain("member 1 of 2");
      second.child.stdin.end("1000\n");
      const said = [await second.lines.next(), await second.lines.next(), await second.lines.next()];
      const [one, other, sum] = said.map(({ value }) => value as string);
      expect([one, other].map((line) => Number(line?.split(" ").at(-1))).sort((a, b) => a - b)).toEqual([80, 88]);
      expect(sum).toBe("there are 168 primes up to 1000");
      await once(second.child, "close");
      first.child.stdin.end();
      await once(first.child, "close");
    },
    RUN_MS_MAX,
  );

  test(
    "of docs/TESTING-YOUR-GROUP.md pass",
    async () => {
      const [module] = modulesOf(read("docs/TESTING-YOUR-GROUP.md"));
      const [library, kit] = ["index.ts", "testing/index.ts"].map(
        (path) => pathToFileURL(join(root, "src", path)).href,
      );
      const program = join(folder, "testing.ts");
      const text = module?.text.replace('"coterie"', JSON.stringify(library));
      writeFileSync(program, text?.replace('"coterie/testing"', JSON.stringify(kit)) ?? "");
      const child = spawn(process.execPath, ["--import", "tsx", program], { cwd: folder });
      const [output, problems] = [child.stdout, child.stderr].map((stream) => textOf(stream));
      const code = await new Promise((done) => child.once("close", done));
      expect({ code, problems: await problems }).toEqual({ code: 0, problems: "" });
      expect(await output).toContain("30 seeds, ");
    },
    RUN_MS_MAX,
  );

  async function textOf(stream: Readable): Promise<string> {
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk;
    return text;
  }
});

describe("links", () => {
  test.each(documents)("of %s lead to a file, or to a heading", (document) => {
    const text = read(document).replaceAll(/^```[\s\S]*?^```$/gm, "");
    const dead = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target ?? "")
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !leadsSomewhere(document, target));
    expect(dead).toEqual([]);
  });

  function leadsSomewhere(document: string, target: string): boolean {
    const [path = "", heading] = target.split("#");
    const file = path === "" ? document : relative(root, resolve(root, dirname(document), path));
    if (!existsSync(join(root, file))) return false;
    return heading === undefined || anchorsOf(read(file)).includes(heading);
  }

  function anchorsOf(text: string): string[] {
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading ?? "");
    return headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    );
  }
});

describe("lists that the code holds, too", () => {
  test("docs/API.md has the table of error codes", () => {
    const rows = Object.entries(ERROR_CODES).map(
      ([code, { meaning, remedy, retryable }]) =>
        `| \`${code}\` | ${meaning} | ${remedy} | ${retryable ? "yes" : "no"} |`,
    );
    const table = ["| Code | What happened | What to do | Retryable |", "|---|---|---|---|", ...rows, ""].join("\n");
    expectGenerated("docs/API.md", "error codes", table);
  });

  test("docs/TESTING-YOUR-GROUP.md shows what the kit tells of a lost claim", async () => {
    const error = await simulateCluster({}, lostClaim).catch((thrown: unknown) => thrown);
    const { message } = error as SimulationError;
    expectGenerated("docs/TESTING-YOUR-GROUP.md", "lost claim", `\`\`\`text\n${message.trimEnd()}\n\`\`\`\n`);
  });

  /** A part of a document that the code makes; `UPDATE_DOCS=1` writes it anew. */
  function expectGenerated(path: string, what: string, generated: string): void {
    const begin = `<!-- ${what}: written by test/docs (UPDATE_DOCS=1) -->\n`;
    const end = `<!-- end of ${what} -->`;
    const text = read(path);
    const from = text.indexOf(begin) + begin.length;
    const to = text.indexOf(end);
    if (process.env["UPDATE_DOCS"] === "1") {
      writeFileSync(join(root, path), `${text.slice(0, from)}${generated}${text.slice(to)}`);
      return;
    }
    expect(text.slice(from, to)).toBe(generated);
  }

  test("docs/API.md has all options of `start` and all fields of a group's definition", async () => {
    const refused = await start({ bogus: 1 } as object).catch((error: unknown) => error);
    const remedies = [refused, refusalOf(() => defineGroup({ bogus: 1 } as never))].map(
      (error) => (error as CoterieError).remedy,
    );
    for (const remedy of remedies) {
      const names = /options are ([\w, ]+)/.exec(remedy)?.[1]?.split(", ") ?? [];
      expect(names.length).toBeGreaterThan(5);
      for (const name of names) expect(read("docs/API.md")).toContain(`\n| \`${name}\` |`);
    }
  });

  function refusalOf(call: () => unknown): unknown {
    try {
      return call();
    } catch (error) {
      return error;
    }
  }

  test("docs/MODEL.md has every property that is judged", () => {
    const headings = [...read("docs/MODEL.md").matchAll(/^### (\w+)\b/gm)].map(([, property]) => property);
    for (const { property } of CHECKERS) expect(headings).toContain(property);
  });

  test("docs/WIRE.md has every control message under its tag", () => {
    const listed = [...read("docs/WIRE.md").matchAll(/^\| (\d+) \| `(\w+)` \|/gm)].map(([, tag, kind]) => [
      Number(tag),
      kind,
    ]);
    const kinds: string[] = [];
    for (let tag = 0; tag < 256; tag++) {
      const { kind } = message.read(new Reader(Uint8Array.of(tag)));
      // A tag that is not known reads as the first.
      if (kind !== kinds[0]) kinds.push(kind);
    }
    expect(listed).toEqual(kinds.map((kind, tag) => [tag, kind]));
  });

  test("docs name only planted bugs and faults that there are", () => {
    const mutants = listMutants().map(({ name }) => name);
    const named = documents.flatMap((document) => [...read(document).matchAll(/bug\s+`([a-z-]+)`/g)]);
    expect(named.length).toBeGreaterThan(5);
    for (const [, name] of named) expect(mutants).toContain(name);
    for (const kind of FAULT_KINDS) expect(read("docs/TESTING.md")).toContain(`\`${kind}\``);
  });
});
