/**
 * Writes docs/SCENARIOS.md: what each transcript shows, where its idea comes from, and which planted bugs it kills, which is
 * found by replaying them with every bug in the compiled code. Takes minutes; build first. With names of transcripts it replays
 * only these and those that are not in the page with every bug, and the others with the bugs that are not in the page.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const { plantInReplay } = await import(join(root, "dist/simulation/mutation.js"));
const { listMutants } = await import(join(root, "dist/simulation/mutants.js"));
const folder = join(root, "test/scenarios");

const SOURCES = [
  ["trace-", "a counterexample of a model checker, or of the review by hand, to an earlier form of the rules"],
  ["flush-", "the steps of a flush, and its guarantee F1 (rules C1 to C5)"],
  ["proposer-", "the phases of Paxos (rules A2 and A7)"],
  ["acceptor-", "the phases of Paxos (rule A2)"],
  ["found", "rule A8"],
  ["query-", "the promises Q1 and Q2"],
  ["partition-", "the promise M3"],
  ["halves", "the promise M3"],
  ["causal", "the promise D6"],
  ["joiner-", "rule C9 and the promise ST1"],
  ["donor-", "rule C9 and the promise ST1"],
  ["leave", "rule C11"],
  ["last-member-", "rules C9 and C11"],
  ["asymmetric-", "rule C12"],
  ["one-way-", "rule C12"],
  ["deaf-", "rule A7"],
  ["accused-", "false suspicions: rules A7 and D-2"],
  ["credit-", "the promise D2"],
  ["merge-", "the promise M3"],
];

/** The comment at the head of a transcript. */
function purposeOf(text) {
  const lines = text.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("#"));
  return lines
    .slice(0, end)
    .map((line) => line.replace(/^# ?/, ""))
    .join(" ");
}

function isKilled(replay, text) {
  try {
    const { violations, failures } = replay(text);
    return violations.length > 0 || failures.length > 0;
  } catch {
    return true;
  }
}

const path = join(root, "docs/SCENARIOS.md");
const before = new Map();
const judged = new Set();
for (const line of existsSync(path) ? readFileSync(path, "utf8").split("\n") : []) {
  for (const [, bug] of line.matchAll(/`([a-z-]+)`/g)) judged.add(bug);
  const name = /^\| \[.*?test\/scenarios\/([^)]+)\)/.exec(line)?.[1];
  if (name !== undefined)
    before.set(
      name,
      [
        ...line
          .split(" | ")
          .at(-1)
          .matchAll(/`([a-z-]+)`/g),
      ].map(([, bug]) => bug),
    );
}
const wanted = process.argv.slice(2).map((name) => `${name.replace(/.*\/|\.txt$/g, "")}.txt`);
const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));
const texts = new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
const replayed = names.filter((name) => wanted.length === 0 || wanted.includes(name) || !before.has(name));
const known = listMutants().map(({ name }) => name);
const kills = new Map(
  names.map((name) => [name, replayed.includes(name) ? [] : before.get(name).filter((bug) => known.includes(bug))]),
);
for (const mutant of listMutants()) {
  const replay = await plantInReplay(mutant);
  const killers = (judged.has(mutant.name) ? replayed : names).filter((name) => isKilled(replay, texts.get(name)));
  for (const name of killers) kills.get(name).push(mutant.name);
  process.stderr.write(`${mutant.name}: ${killers.length}\n`);
}

const killed = new Set([...kills.values()].flat());
for (const bugs of kills.values()) bugs.sort((a, b) => known.indexOf(a) - known.indexOf(b));
const spared = listMutants().flatMap(({ name }) => (killed.has(name) ? [] : name));
const rows = names.map((name) => {
  const [, source = "what happens to clusters in operation"] = SOURCES.find(([start]) => name.startsWith(start)) ?? [];
  const bugs = kills.get(name).map((mutant) => `\`${mutant}\``);
  const file = `[${name.replace(".txt", "")}](../test/scenarios/${name})`;
  return `| ${file} | ${purposeOf(texts.get(name))} | ${source} | ${bugs.join(", ") || "none"} |`;
});
const page = `# Scenarios

The transcripts in [test/scenarios](../test/scenarios), what they show, and which planted bugs they kill: with the bug in the
code the replay breaks a promise, misses an expectation, does not converge, or fails an assertion. A bug that changes only what
the transcript says does not count. \`node scripts/scenarios.mjs\` writes this page.

${names.length} transcripts and ${listMutants().length} bugs; ${spared.length} of the bugs are killed by no transcript: ${spared.map((name) => `\`${name}\``).join(", ")}.
Random runs find those ([TESTING.md](TESTING.md#planted-bugs)).

| Scenario | What it shows | Where the idea comes from | Kills |
|---|---|---|---|
${rows.join("\n")}
`;
writeFileSync(path, page);
