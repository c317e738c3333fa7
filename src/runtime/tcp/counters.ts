/** What a network counts: plain numbers that only grow, cheap enough to be counted always. */
export interface Counters {
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Bytes written again after a lost connection. */
  bytesResent: number;
  dials: number;
  /** Streams, in either direction, that resumed after a lost connection. */
  reconnects: number;
  /** Links that could not resume. */
  broken: number;
  /** Connections dropped for bytes that no node of this protocol sends. */
  garbage: number;
  refusalsSent: number;
  refusalsReceived: number;
  /** Connections dropped because too many others were in their handshake. */
  crowdedOut: number;
  handshakeTimeouts: number;
  /** Connections, made or accepted, whose other side did not prove that it belongs here. */
  unproven: number;
  /** Frames dropped because their node was not linked. */
  framesUnlinked: number;
  datagramsIn: number;
  /** Frames that left by datagram. */
  datagramsOut: number;
  /** Datagrams that were not from a linked node to this one, or made no sense. */
  datagramsDropped: number;
  /** Frames that were dropped here because they were not to wait, and datagrams that the system did not take. */
  datagramsUnsent: number;
}

export function newCounters(): Counters {
  return {
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    bytesResent: 0,
    dials: 0,
    reconnects: 0,
    broken: 0,
    garbage: 0,
    refusalsSent: 0,
    refusalsReceived: 0,
    crowdedOut: 0,
    handshakeTimeouts: 0,
    unproven: 0,
    framesUnlinked: 0,
    datagramsIn: 0,
    datagramsOut: 0,
    datagramsDropped: 0,
    datagramsUnsent: 0,
  };
}
