import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Stability } from "./stability.ts";

describe("Stability", () => {
  test("is a table of which only maxima count, and whose column minima are what all hold", () => {
    const sizes = fc.integer({ min: 1, max: 5 });
    const raises = fc.array(fc.record({ member: fc.nat(4), sender: fc.nat(4), count: fc.nat(20) }), { maxLength: 60 });
    fc.assert(
      fc.property(sizes, raises, (size, list) => {
        const table = new Stability(size);
        const model = Array.from({ length: size }, () => new Array<number>(size).fill(0));
        for (const { member: anyMember, sender: anySender, count } of list) {
          const [member, sender] = [anyMember % size, anySender % size];
          const row = model[member] ?? [];
          expect(table.raise(member, sender, count)).toBe(count > (row[sender] ?? 0));
          row[sender] = Math.max(row[sender] ?? 0, count);
          for (let column = 0; column < size; column++) {
            expect(table.stable(column)).toBe(Math.min(...model.map((counts) => counts[column] ?? 0)));
          }
        }
        for (const [member, row] of model.entries()) {
          expect(table.row(member)).toEqual(row);
          expect(table.covers(member, row)).toBe(true);
          expect(
            table.covers(
              member,
              row.map((count, at) => count + (at === 0 ? 1 : 0)),
            ),
          ).toBe(false);
          for (const [sender, count] of row.entries()) expect(table.count(member, sender)).toBe(count);
        }
      }),
    );
  });

  test("what all are said to hold raises every row to it, lowers none, and is the new minimum", () => {
    const size = 3;
    const rows = fc.array(fc.nat(9), { minLength: size, maxLength: size });
    fc.assert(
      fc.property(fc.tuple(rows, rows, rows), rows, (before, all) => {
        const table = new Stability(size);
        for (const [member, row] of before.entries()) table.raiseRow(member, row);
        const minima = table.minima();
        expect(table.raiseAll(all)).toBe(all.some((count, sender) => count > (minima[sender] ?? 0)));
        for (const [member, row] of before.entries()) {
          expect(table.row(member)).toEqual(row.map((count, sender) => Math.max(count, all[sender] ?? 0)));
        }
        expect(table.minima()).toEqual(minima.map((count, sender) => Math.max(count, all[sender] ?? 0)));
      }),
    );
  });

  test("a row raises all counts of its member at once, and never lowers one", () => {
    const table = new Stability(3);
    expect(table.raiseRow(1, [4, 0, 2])).toBe(true);
    expect(table.raiseRow(1, [3, 0, 1])).toBe(false);
    expect(table.raiseRow(1, [3, 1, 1])).toBe(true);
    expect(table.row(1)).toEqual([4, 1, 2]);
  });

  test("a row of another length is of another epoch and is ignored", () => {
    const table = new Stability(2);
    expect(table.raiseRow(0, [5])).toBe(false);
    expect(table.raiseRow(0, [5, 5, 5])).toBe(false);
    expect(table.row(0)).toEqual([0, 0]);
  });

  test("a target that is too short asks nothing of the senders that it does not name", () => {
    expect(new Stability(3).covers(0, [])).toBe(true);
  });
});
