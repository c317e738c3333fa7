import { expect, test } from "vitest";
import { check } from "./axioms/index.ts";
import { sketch } from "./axioms/sketch.ts";
import { diagram } from "./diagram.ts";

const HISTORY = sketch(`
  a,b,c start
  a,b,c cluster 1 a b c : p1
  a,b,c install 1 a b c
  a send m1 fifo
  a deliver m1
  c send m2 safe
  b deliver m1
  a flush f1
  a held f1
  b crash
  a,c accept 2 p2
  a,c cluster 2 a c : p2
  a deliver m2
  a install 2 a c
  c deliver m2
  c install 2 a c
  b#2 start
  c query q1 2 total
  c,a deliver q1
  c reply q1 a value
  c done q1 enough
`);

test("a diagram has a column for each node, and draws events that nodes have in common in one row", () => {
  expect(`\n${diagram(HISTORY)}`).toBe(`
  ms  a                 b                 c                 b′
   0  ○                 ○                 ○
   3  ══════════════ cluster view 1 {a b c} ═══════════════
   6  ══════════════════ view 1 {a b c} ═══════════════════
   9  ●m1               │                 │
  10  ▽m1               ▽m1               │
  11  │                 │                 ●m2 safe
  13  ⟦f1               │                 │
  14  f1⟧               │                 │
  15  │                 ✖                 │
  16  ✓ 2 p2                              ✓ 2 p2
  18  ═ cluster view 2                    ═ cluster view 2                    {a c}
  20  ▽m2                                 ▽m2
  21  ═ view 2 {a c} ══                   ═ view 2 {a c} ══
  24  │                                   │                 ○
  25  │                                   ?q1               │
  25  │                                   ●q1 total         │
  27  ▽q1                                 ▽q1               │
  29  │                                   q1←a value        │
  30  │                                   ?q1 enough        │
`);
});

test("a window around a violation begins with the views at that time, and marks it", () => {
  const broken = HISTORY.filter(({ kind, node }) => kind !== "deliver" || node !== "c#00000001");
  const violations = check(broken);
  const [violation] = violations;
  expect(violation).toMatchObject({ property: "D3", node: "c#00000001" });
  const options = { around: violation?.event ?? 0, events: 12, width: 70, marks: violations };
  expect(`\n${diagram(broken, options)}`).toBe(`
  ms  a               c               b′
   ⋮  (view 1)        (view 1)
  16  ✓ 2 p2          ✓ 2 p2
  18  ════ cluster view 2 {a c} ═════
  20  ▽m2             │
  21  ═══ view 2 ════ │                               {a c}
  23  │               ═══ view 2 ════                 {a c} ◀ D3 D4 D7 D8 F1
  24  │               │               ○
  25  │               ?q1             │
  25  │               ●q1 total       │
  28  ▽q1             │               │
  29  │               q1←a value      │
`);
});

test("an event without a property is marked all the same", () => {
  expect(diagram(sketch("a install 1 a\n a send m1 causal\n a deliver m1"), { around: 1 })).toBe(
    `  ms  a
   0  ══ view 1 {a} ═══
   1  ●m1 causal        ◀
   2  ▽m1
`,
  );
});

test("a diagram of one group leaves out the events of others, and names groups when there are several", () => {
  const history = sketch(`
    a install 1 a
    a install 7 a group=h
    a send m1 fifo
    a send m2 fifo group=h
    a deliver m2 group=h
    a crash
  `);
  expect(diagram(history)).toBe(
    `  ms  a
   0  ═ g view 1 {a} ══
   1  ═ h view 7 {a} ══
   2  ●m1
   3  ●m2
   4  ▽m2
   5  ✖
`,
  );
  expect(diagram(history, { group: "h", around: 4, events: 3 })).toBe(
    `  ms  a
   ⋮  (view 7)
   3  ●m2
   4  ▽m2               ◀
   5  ✖
`,
  );
});

test("every kind of event can be drawn, and what is too long is cut", () => {
  const history = sketch(`
    a start
    a directory 1 digest-that-is-too-long-for-a-column
    a blocked
    a unblocked
    a loaded 1 x
    a state 1 x
    a install 1 a
    a flush f1
    a end lost
    a rejected f1
    b exclude
    b close
    a close
  `);
  expect(diagram(history, { width: 40 })).toBe(
    `  ms  a         b
   0  ○         │
   1  § 1 dige… │
   2  ▒ blocked │
   3  ▒ serves  │
   4  ⇩ 1 x     │
   5  ≡ 1 x     │
   6  ═ view 1  │         {a}
   7  ⟦f1       │
   8  ⊥ lost    │
   9  f1⟧ reje… │
  10  │         ⊘ exclud…
  11  □ close   □ close
`,
  );
});

test("the diagram of a long history, around one event, is short and fits the width", () => {
  const steps = Array.from({ length: 500 }, (_, index) => `a send m${index} fifo\n a,b,c,d,e,f deliver m${index}`);
  const history = sketch(`a,b,c,d,e,f install 1 a b c d e f\n${steps.join("\n")}`);
  const lines = diagram(history, { around: 2000 }).split("\n");
  expect(lines.length).toBeLessThan(25);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(110);
});
