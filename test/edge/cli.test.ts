import { describe, expect, test } from "vitest";
import { run } from "./run.ts";

describe("a command line that is not right", () => {
  test.each([
    ["an unknown command", ["nonsense"], "nonsense"],
    ["an unknown option", ["simulate", "--sead", "1"], "--sead"],
    ["a number that is none", ["simulate", "--seeds", "many"], "--seeds"],
    ["a number out of range", ["simulate", "--members", "99"], "--members"],
    ["a missing value", ["simulate", "--seed"], "--seed"],
    ["two options that contradict each other", ["simulate", "--seed", "1", "--seeds", "2"], "--seed"],
    ["an unknown fault", ["simulate", "--faults", "crash,flood"], "--faults"],
    ["an unknown mutant", ["simulate", "--mutant", "none-such"], "--mutant"],
    ["a trace of many seeds", ["simulate", "--trace"], "--trace"],
    ["a demo that is too short", ["demo", "--seconds", "0"], "--seconds"],
    ["a seed that is no address", ["status", "--seeds", "localhost"], "--seeds"],
    ["an argument too many", ["status", "please"], "status"],
    ["nothing to check", ["check"], "paths"],
  ])("%s: exit code 2, and the culprit is named", async (_, args, named) => {
    const { code, stdout, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^invalid-option: /);
    expect(stderr).toContain(named);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  test("with --json the error is an object on stdout, too", async () => {
    const { code, json } = await run(["simulate", "--jobs", "0", "--json"]);
    expect(code).toBe(2);
    expect(json).toMatchObject({ error: { code: "invalid-option", message: expect.stringContaining("--jobs") } });
  });

  test("nothing at all shows what there is", async () => {
    const { code, stdout } = await run([]);
    expect(code).toBe(2);
    for (const command of ["demo", "simulate", "check", "status"]) expect(stdout).toContain(command);
  });
});

describe("help", () => {
  test.each(["demo", "simulate", "check", "status", "witness"])("of %s names every exit code", async (command) => {
    const { code, stdout } = await run([command, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("--json");
    for (const exit of ["0", "1", "2", "3", "130"]) expect(stdout).toMatch(new RegExp(`^ {2}${exit} `, "m"));
  });

  test("the version is the package's", async () => {
    const { code, stdout } = await run(["--version"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("colours", () => {
  const args = ["simulate", "--list-mutants"];
  const colour = "\u001b[";

  test("none where there is no terminal, nor where nobody wants them", async () => {
    expect((await run(args)).stdout).not.toContain(colour);
    expect((await run(args, { NO_COLOR: "1", FORCE_COLOR: "1" })).stdout).not.toContain(colour);
    expect((await run(args, { CI: "true" })).stdout).not.toContain(colour);
  });

  test("some where they are asked for", async () => {
    expect((await run(args, { FORCE_COLOR: "1" })).stdout).toContain(colour);
  });
});
