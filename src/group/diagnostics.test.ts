/** What has no caller is told to the log, and nothing that goes wrong on the way is lost. */
import { afterEach, expect, test, vi } from "vitest";
import { consoleLog, Diagnostics, type LogEntry } from "./diagnostics.ts";
import { AbortReply, CoterieError, ERROR_CODES, describe as say } from "./errors.ts";
import { Feed } from "./feed.ts";
import { Pending } from "./pending.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

test("the same complaint is logged once a second, with the number that was left out", () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const log: LogEntry[] = [];
  const diagnostics = new Diagnostics((entry) => log.push(entry), "g");
  for (let time = 0; time < 25; time++) {
    diagnostics.report("warn", "handler-failed", "add", "add threw");
    diagnostics.report("warn", "handler-failed", "other", "other threw");
    vi.advanceTimersByTime(100);
  }
  expect(log.filter(({ message }) => message === "add threw").map(({ suppressed }) => suppressed)).toEqual([
    undefined,
    9,
    9,
  ]);
  expect(log).toHaveLength(6);
});

test("a log that throws does not break the caller", () => {
  const print = vi.spyOn(console, "error").mockImplementation(() => {});
  const diagnostics = new Diagnostics(() => {
    throw new Error("no log");
  }, "g");
  diagnostics.report("error", "x", "y", "z");
  expect(print).toHaveBeenCalledOnce();
});

test("the default log prints warnings and errors only", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const error = vi.spyOn(console, "error").mockImplementation(() => {});
  const cause = new Error("why");
  consoleLog({ level: "info", code: "x", message: "not this" });
  consoleLog({ level: "warn", code: "x", message: "this", group: "g", suppressed: 3 });
  consoleLog({ level: "error", code: "x", message: "that", error: cause });
  expect(warn.mock.calls).toEqual([["coterie g: this (and 3 more like it)"]]);
  expect(error.mock.calls).toEqual([["coterie: that", cause]]);
});

test("a failure that is asked for within the turn is not reported", async () => {
  const log: LogEntry[] = [];
  const diagnostics = new Diagnostics((entry) => log.push(entry), "g");
  const awaited = new Pending<number>();
  const ignored = new Pending<number>();
  awaited.fail(new Error("a"), diagnostics);
  ignored.fail(new Error("b"), diagnostics);
  await Promise.resolve();
  await expect(awaited).rejects.toThrow("a");
  await new Promise((done) => setImmediate(done));
  expect(log.map(({ code, error }) => [code, error])).toEqual([["unheard", new Error("b")]]);
  await expect(ignored.catch((error: Error) => error.message)).resolves.toBe("b");
});

test("a call is settled once, and tells so", async () => {
  const diagnostics = new Diagnostics(() => {}, "g");
  const call = new Pending<number>();
  const released: string[] = [];
  call.whenSettled(() => released.push("first"));
  const result = Promise.all([call, call.then(String)]);
  expect([call.settled, String(call)]).toEqual([false, "[object Pending]"]);
  call.fulfil(1);
  call.fulfil(2);
  call.fail(new Error("late"), diagnostics);
  call.whenSettled(() => released.push("second"));
  expect(await result).toEqual([1, "1"]);
  expect(released).toEqual(["first", "second"]);
  expect(diagnostics.counters.unheardFailures).toBe(0);
});

test("a reader of a feed that falls behind loses the oldest events, and only it does", async () => {
  const feed = new Feed<number>();
  const slow = feed.subscribe(-1);
  const left = feed.subscribe();
  await left.return?.();
  for (let event = 0; event < 2000; event++) feed.publish(event);
  feed.end();
  expect((await slow.next()).value).toBe(2000 - 1024);
  expect((await left.next()).done).toBe(true);
  let count = 1;
  for await (const _event of slow) count++;
  expect(count).toBe(1024);
});

test("every error code has a meaning and a remedy, and the message carries the remedy", () => {
  for (const [code, { meaning, remedy }] of Object.entries(ERROR_CODES)) {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(meaning).toMatch(/\.$/);
    expect(remedy).toMatch(/\.$/);
  }
  const error = new CoterieError("overloaded", "it is full", { group: "g", view: 3 });
  expect(error.message).toBe(`it is full. ${ERROR_CODES.overloaded.remedy}`);
  expect(error).toMatchObject({ name: "CoterieError", group: "g", view: 3, retryable: true });
  expect(new AbortReply("no").message).toContain("the query was aborted: no");
  expect([say(new Error("x")), say(new TypeError("")), say("text"), say(5)]).toEqual(["x", "TypeError", "text", "5"]);
});
