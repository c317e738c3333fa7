/** `npm run bench`: one bench per claim; each prints its own ratio to a baseline of the same run. */
await import("./ordered-send.ts");
await import("./log.ts");
