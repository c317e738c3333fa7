/** A small share of what `npm run fuzz` does, and that it would find something. */
import { expect, test } from "vitest";
import { fuzz } from "./fuzz.ts";
import { type Target, targets } from "./targets.ts";

const COUNTS = { network: 3000, disk: 300 } as const;

test.each(targets().map((target): [string, Target] => [target.name, target]))(
  "%s: whatever comes is borne, and nothing wrong believed",
  (_name, target) => {
    expect(target.examples.length).toBeGreaterThan(0);
    expect(fuzz(target, COUNTS[target.from], 7)).toEqual([COUNTS[target.from]]);
  },
);

test("a target that believes a flipped bit, or throws, is found", () => {
  const [example = new Uint8Array(8)] = targets()[0]?.examples ?? [];
  const base = { name: "gullible", from: "network", examples: [example], hasLength: false } as const;
  const [, believes] = fuzz({ ...base, judge: () => "it believes" }, 10, 1);
  expect(believes).toMatchObject({ problem: "it believes", bytes: expect.stringMatching(/^[0-9a-f]*$/) });
  const throws = (): undefined => {
    throw new RangeError("out");
  };
  expect(fuzz({ ...base, judge: throws }, 10, 1)[1]?.problem).toBe("it throws: RangeError: out");
});
