/**
 * SIGTERM means: leave in good order, then go. While nodes run in this process the signal closes them, and, unless the
 * program has its own handler, ends the process as the signal would have.
 */
interface Closable {
  close(): Promise<void>;
}

const running = new Set<Closable>();

function onTerminate(): void {
  const hasOwnHandler = process.listenerCount("SIGTERM") > 1;
  const closing = [...running].map((node) => node.close());
  void Promise.all(closing).then(() => {
    process.off("SIGTERM", onTerminate);
    if (!hasOwnHandler) process.kill(process.pid, "SIGTERM");
  });
}

/** Closes the node when the process is told to terminate; the returned function ends that. */
export function closeOnTerminate(node: Closable): () => void {
  if (running.size === 0) process.on("SIGTERM", onTerminate);
  running.add(node);
  return () => {
    running.delete(node);
    if (running.size === 0) process.off("SIGTERM", onTerminate);
  };
}
