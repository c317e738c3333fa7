/**
 * What a line of a history file may be (docs/HISTORY.md). A reader must not take for an event what is none: a field that
 * is missing would be judged as if it said something.
 */
import type { HistoryEvent } from "../protocol/history.ts";
import { HISTORY_VERSION, type HistoryHeader } from "../runtime/history-files.ts";

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isFlag: Check = (value) => typeof value === "boolean";
const isCount: Check = (value) => typeof value === "number" && Number.isInteger(value) && value >= 0;
const isCounts: Check = (value) => Array.isArray(value) && value.every(isCount);
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

const isFlavour = oneOf("fifo", "causal", "total", "safe", "raw");

type Fields<Kind extends HistoryEvent["kind"]> = {
  readonly [F in Exclude<keyof Extract<HistoryEvent, { kind: Kind }>, "kind" | "at" | "node">]-?: Check;
};

/** The fields of each kind of event, but for those that all have. */
const FIELDS: { readonly [Kind in HistoryEvent["kind"]]: Fields<Kind> } = {
  start: { disk: optional(isText) },
  crash: {},
  close: {},
  exclude: {},
  blocked: {},
  unblocked: {},
  accept: { number: isCount, proposal: isText },
  install: {
    group: isText,
    number: isCount,
    members: isTexts,
    nodes: optional(isTexts),
    votes: optional(isCounts),
    proposal: optional(isText),
  },
  adopt: {
    number: isCount,
    members: isTexts,
    nodes: isTexts,
    votes: optional(isCounts),
    proposal: isText,
  },
  directory: { index: isCount, digest: isText },
  send: { group: isText, view: isCount, message: isText, flavour: isFlavour },
  deliver: { group: isText, view: isCount, message: isText, sender: isText, flavour: isFlavour },
  "flush-begin": { group: isText, flush: isText, copies: optional(isCount) },
  "flush-end": { group: isText, flush: isText, outcome: oneOf("held", "rejected", "abandoned") },
  query: { group: isText, query: isText, wanted: isCount, audience: optional(isTexts) },
  reply: { group: isText, query: isText, member: isText, status: oneOf("value", "null", "left", "timeout", "abort") },
  "query-end": { group: isText, query: isText, outcome: oneOf("enough", "complete", "aborted", "rejected") },
  recover: { group: isText, view: isCount, since: optional(isCount), messages: isTexts },
  state: { group: isText, view: isCount, digest: isText, loaded: isFlag },
  end: { group: isText, why: oneOf("left", "lost", "excluded") },
};

const CHECKS = new Map<unknown, readonly (readonly [field: string, check: Check])[]>(
  Object.entries(FIELDS).map(([kind, fields]) => [
    kind,
    Object.entries({ at: isNumber, node: isText, ...fields } as Record<string, Check>),
  ]),
);

type Line = Readonly<Record<string, unknown>>;

/** What is wrong with the first line of a file. */
export function headerProblem(value: unknown): string | undefined {
  if (!isObject(value) || value["coterie"] !== "history")
    return 'is not {"coterie":"history",…}, with which histories begin';
  const { version, node, origin } = value as Partial<HistoryHeader>;
  if (typeof version !== "number") return "names no version";
  if (version > HISTORY_VERSION) return `is of version ${version}; this program reads up to ${HISTORY_VERSION}`;
  if (!optional(isText)(node)) return "`node` is no text";
  return optional(isNumber)(origin) ? undefined : "`origin` is no number";
}

/** What is wrong with another line. Fields that are not known are passed over. */
export function eventProblem(value: unknown): string | undefined {
  if (!isObject(value)) return "is not an object";
  const checks = CHECKS.get(value["kind"]);
  if (checks === undefined) return `there is no event of the kind ${JSON.stringify(value["kind"])}`;
  const wrong = checks.find(([field, check]) => !check(value[field]));
  if (wrong === undefined) return undefined;
  const [field] = wrong;
  const has = value[field] === undefined ? "is missing" : `cannot be ${JSON.stringify(value[field])}`;
  return `\`${field}\` of ${String(value["kind"])} ${has}`;
}

function isObject(value: unknown): value is Line {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
