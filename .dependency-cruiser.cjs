/**
 * The layers of src/, from the lowest to the highest. A module may import from its own layer and from lower ones.
 * The simulation stands beside runtime, group and services: it may use all of them, and none of them may use it.
 */
const LAYERS = ["base", "wire", "protocol", "runtime", "group", "services", "edge"];
const TEST_FILE = "\\.test(-d)?\\.ts$";

const layerRules = LAYERS.slice(0, -1).map((layer, index) => ({
  name: `layer-${layer}`,
  comment: `src/${layer} may import only itself and the layers below it.`,
  severity: "error",
  from: { path: `^src/${layer}/`, pathNot: TEST_FILE },
  to: { path: "^src/", pathNot: `^src/(${LAYERS.slice(0, index + 1).join("|")})/` },
}));

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: "layer-edge",
      comment: "src/edge is the command line: it may import every layer, but not the library's entry point.",
      severity: "error",
      from: { path: "^src/edge/", pathNot: TEST_FILE },
      to: { path: "^src/[^/]+\\.ts$" },
    },
    {
      name: "layer-simulation",
      comment: "The simulation may import everything below src/edge.",
      severity: "error",
      from: { path: "^src/simulation/", pathNot: TEST_FILE },
      to: { path: "^src/", pathNot: "^src/(base|wire|protocol|runtime|group|services|simulation)/" },
    },
    {
      name: "layer-testing",
      comment: "The kit for users' tests may import everything below src/edge, and the simulation.",
      severity: "error",
      from: { path: "^src/testing/", pathNot: TEST_FILE },
      to: { path: "^src/", pathNot: "^src/(base|wire|protocol|runtime|group|services|simulation|testing)/" },
    },
    {
      name: "layer-index",
      comment: "The library's entry point may export from src/group and below.",
      severity: "error",
      from: { path: "^src/[^/]+\\.ts$", pathNot: TEST_FILE },
      to: { path: "^src/", pathNot: "^src/((base|wire|protocol|runtime|group)/|[^/]+\\.ts$)" },
    },
    {
      name: "simulation-importers",
      comment:
        "Only the command line, the kit for users' tests, tests, benchmarks and examples may import the simulation.",
      severity: "error",
      from: { pathNot: [TEST_FILE, "^src/(simulation|testing|edge)/", "^(test|bench|examples)/"] },
      to: { path: "^src/simulation/" },
    },
    {
      name: "core-no-packages",
      comment: "The protocol core depends on the language only.",
      severity: "error",
      from: { path: "^src/(base|wire|protocol)/", pathNot: TEST_FILE },
      to: {
        dependencyTypes: [
          "npm",
          "npm-dev",
          "npm-optional",
          "npm-peer",
          "npm-bundled",
          "npm-no-pkg",
          "npm-unknown",
          "core",
          "unknown",
          "undetermined",
        ],
      },
    },
    {
      name: "simulation-no-real-time",
      comment: "The simulation takes time and scheduling from its own clock.",
      severity: "error",
      from: { path: "^src/simulation/", pathNot: TEST_FILE },
      to: { path: "^(node:)?(timers|timers/promises|perf_hooks)$" },
    },
    {
      name: "no-circular",
      comment: "No cycles, not even of types.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphans",
      comment: "A module that imports nothing and is imported by nothing is dead, unless it is an entry point.",
      severity: "error",
      from: {
        orphan: true,
        pathNot: [
          TEST_FILE,
          "\\.d\\.ts$",
          "^src/index\\.ts$",
          "^src/testing/index\\.ts$",
          "^src/edge/cli\\.ts$",
          "^(test|bench|examples|scripts)/",
          "^[^/]+$",
        ],
      },
      to: {},
    },
    {
      name: "no-tests-as-modules",
      comment: "Tests are not imported, and what is published does not import from test, bench, examples or scripts.",
      severity: "error",
      from: { path: "^src/", pathNot: TEST_FILE },
      to: { path: [TEST_FILE, "^(test|bench|examples|scripts)/"] },
    },
    {
      name: "no-dev-dependencies-in-src",
      comment: "What is published may import only runtime dependencies.",
      severity: "error",
      from: { path: "^src/", pathNot: TEST_FILE },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm"] },
    },
    {
      name: "not-to-unresolvable",
      comment: "Every import resolves; what tests and benches take from the build is there only after it.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, pathNot: "/dist/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|\\.dist-|coverage|reports|node_modules/\\.)" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
      extensions: [".ts", ".js", ".mjs", ".cjs", ".d.ts", ".json"],
    },
  },
};
