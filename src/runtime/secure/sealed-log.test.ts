import fc from "fast-check";
import { expect, test } from "vitest";
import { intrusions } from "../../../test/secure/log-attacks.ts";
import { RecordSeal, SALT_BYTES } from "./sealed-log.ts";

const salt = new Uint8Array(SALT_BYTES).fill(3);

test.each(Object.keys(intrusions))("%s", (name) => {
  expect(intrusions[name]?.({ RecordSeal })).toBeUndefined();
});

test("any record comes back as it was, and 40 bytes longer on disk", () => {
  const key = new Uint8Array(32).fill(1);
  const [seal, reader] = [new RecordSeal(key, salt), new RecordSeal(key, salt.slice().fill(4))];
  let position = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (record) => {
      const sealed = seal.seal(record, ++position);
      expect(sealed.length).toBe(record.length + 40);
      expect(reader.open(sealed, position)).toEqual(record);
    }),
    { numRuns: 300 },
  );
});

test("any bytes are no record, and never throw", () => {
  const seal = new RecordSeal(new Uint8Array(32), salt);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      if (bytes.length > 5) bytes.set([6, 1], 4);
      expect(seal.open(bytes, 0)).toBeUndefined();
    }),
    { numRuns: 1000 },
  );
});
