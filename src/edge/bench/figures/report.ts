/**
 * The report: one HTML file that needs nothing else.
 */
import { burstChart, copiesName, flushChart, jitterCharts, ROW_TITLES, row } from "./charts.ts";
import { BURST, type BurstTimes, type FlushTimes } from "./experiments.ts";
import { escaped } from "./svg.ts";

export interface Figures {
  readonly bursts: readonly BurstTimes[];
  /** Those of `bursts` that are looked at for how steady they are. */
  readonly steady: readonly BurstTimes[];
  readonly flushes: readonly FlushTimes[];
  readonly machine: string;
  readonly leftOut: string;
}

const STYLE = `
  body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 860px; margin: 2em auto; padding: 0 1em; }
  h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
  svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, sans-serif; }
  svg text { fill: #444; } .grid { stroke: #e4e4e4; } .axis { stroke: #888; }
  figure { display: inline-block; margin: 0 1em 1em 0; } figcaption { font-weight: 600; }
  .legend span { margin-right: 1.2em; white-space: nowrap; }
  .legend i { display: inline-block; width: .9em; height: .9em; margin-right: .4em; border-radius: 2px; vertical-align: -.05em; }
  .claim { border-left: 4px solid #ccc; padding-left: 1em; color: #555; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { padding: .15em .8em; text-align: right; }
  td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #eee; } details { margin: .5em 0 1em; }
`;

export function report({ bursts, steady, flushes, machine, leftOut }: Figures): string {
  const size = steady[0]?.members ?? 0;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Early delivery, and what it costs to be certain</title>
<style>${STYLE}</style>
<h1>Early delivery, and what it costs to be certain</h1>
<p>${escaped(machine)} Every member is a process of its own; all of them share the machine, so more members also means less
of it for each. Messages have 100 bytes. The sender is the youngest member, which is farthest from the one that orders.
${escaped(leftOut)}</p>

<h2>A burst of ${BURST} updates, against the size of the group</h2>
<p>From the first call to the handler of the last update at the other members; <em>send + flush</em>: to the end of the
flush at the sender.</p>
<p class="claim">Claimed for virtual synchrony: early sends take the time of one message, whatever the size of the group;
ordered ones a message more; certain ones (<em>safeSend</em>, as Paxos) wait for everybody before they deliver, and grow with
the group, unless only some of them, the acceptors, are waited for. Here a safe message is always in the memory of all members
before it is delivered; it is their disks that a durable group need not all wait for. <em>rawSend</em> promises nothing and travels as datagrams. Early sends followed by one flush are as certain as that, and cost less than a certain send of each update.</p>
${burstChart(bursts)}
${table(bursts.map(({ sending, members, times }) => [`${sending}, ${members} members`, ...row(times)]))}

<h2>How steady: deviation from the mean, ${size} members</h2>
<p>The same bursts; what lies beyond the ends is in the outermost bars.</p>
<p class="claim">Claimed: early sends are steady; what waits for all members is as unsteady as the slowest of them.</p>
${jitterCharts(steady)}
${table(steady.map(({ sending, times }) => [sending, ...row(times)]))}

<h2>What a flush takes, against the size of the shard</h2>
<p>From one early update to the end of the flush after it. Dot: median; thick: the middle half; thin: 5 % to 95 %.</p>
<p class="claim">Claimed: a flush takes about a round trip, grows slowly with the shard, and waiting for a few copies instead
of all makes it independent of the slowest members.</p>
${flushChart(flushes)}
${table(flushes.map(({ copies, members, times }) => [`${copiesName(copies)}, ${members} members`, ...row(times)]))}
</html>
`;
}

function table(rows: readonly (readonly string[])[]): string {
  const head = ["", ...ROW_TITLES].map((title) => `<th>${title}</th>`).join("");
  const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`).join("\n");
  return `<details><summary>Figures, in milliseconds</summary><table><tr>${head}</tr>\n${body}</table></details>`;
}
