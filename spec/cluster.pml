/*
 * Agreement on the successor of one cluster view, with the safe messages of that view: rules A2, A6, B1 to B3 of
 * docs/PROTOCOLS.md. A message is a fact that anybody may take at any moment, or never: so every delay, reordering and
 * loss is among the runs. Acceptor 0 is the oldest, leads, and sends M commands; ballot b belongs to acceptor (b - 1) % N.
 *
 * Each of these names, when defined, plants a bug that must be found: NO_INHERITANCE, LOWEST_BALLOT, NO_PROMISE_CHECK,
 * NO_FREEZE, CUT_MINIMUM, OPTIMISTIC, ACCEPT_WITHOUT_HOLD, TIE_WITHOUT_OLDEST.
 */
#ifndef N
#define N 3 /* acceptors */
#endif
#ifndef M
#define M 2 /* commands */
#endif
#ifndef B
#define B 3 /* ballots */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define ALL ((1 << N) - 1)
#define PROPOSER(b) (((b) - 1) % N)
#define AT(b, i) (((b) - 1) * N + (i))
#define HAS(mask, i) (((mask) >> (i)) & 1)

#ifdef LOWEST_BALLOT
#define PREFERRED(x, y) ((x) < (y))
#else
#define PREFERRED(x, y) ((x) > (y))
#endif
#ifdef NO_PROMISE_CHECK
#define PROMISE_ALLOWS(b) true
#else
#define PROMISE_ALLOWS(b) (promised[me] <= b)
#endif
#ifdef ACCEPT_WITHOUT_HOLD
#define MAY_ACCEPT(b) (proposed[b] && !HAS(accepts[b], me) && PROMISE_ALLOWS(b))
#else
#define MAY_ACCEPT(b) (proposed[b] && !HAS(accepts[b], me) && PROMISE_ALLOWS(b) && held[me] >= cutOf[b])
#endif
#ifdef NO_FREEZE
#define IS_FROZEN false
#else
#define IS_FROZEN (promised[me] > 0)
#endif

/* Of each acceptor. */
bool dead[N];
byte held[N];     /* commands that it holds: 0 to held - 1 */
byte row[N];      /* as it has told the others; the safe rule reads these */
byte promised[N]; /* the highest ballot, 0: none; whoever has promised is frozen (B3) */
byte acceptedAt[N], acceptedCut[N], acceptedView[N];
/* Facts: what was ever said. A view is a set of acceptors, and so is who has promised or accepted. */
byte sent;
bool proposed[B + 1];
byte cutOf[B + 1], viewOf[B + 1], promises[B + 1], accepts[B + 1];
byte promiseHeld[B * N], promiseAt[B * N], promiseCut[B * N], promiseView[B * N];
/* How many commands somebody may have executed, because rows say that they are safe. */
byte safe;
bool decided;
byte decidedCut, decidedView;
byte crashes;
/* For calculations; zero between steps. */
hidden byte i, j, k, count, best, set;
hidden byte isQuorum;

/* More than half of the acceptors, or half of them with the oldest (M3). */
inline quorumOf(members) {
  count = 0; i = 0;
  do
  :: i < N -> count = count + HAS(members, i); i++
  :: else -> break
  od;
#ifdef TIE_WITHOUT_OLDEST
  isQuorum = (count * 2 >= N)
#else
  isQuorum = (count * 2 > N || (count * 2 == N && HAS(members, 0)))
#endif
}

/* B2: a command is safe when a quorum has said that it holds it. Nothing safe may be beyond the cut (B1, D8). */
inline noteSafe() {
  set = 0; j = 0;
  do
  :: j < N -> if :: row[j] > safe -> set = set | (1 << j) :: else fi; j++
  :: else -> break
  od;
  quorumOf(set);
#ifdef OPTIMISTIC
  isQuorum = (set > 0);
#endif
  if :: isQuorum -> safe++ :: else fi;
  assert(!decided || safe <= decidedCut)
}

/* The proposal of ballot b, by the promises for it; a fresh one is for `wanted` (A2, B2). */
inline propose(b, wanted) {
  best = 0; j = 0; viewOf[b] = wanted;
#ifdef CUT_MINIMUM
  cutOf[b] = M;
#endif
  do
  :: j < N && HAS(promises[b], j) ->
    if
#ifdef CUT_MINIMUM
    :: promiseHeld[AT(b, j)] < cutOf[b] -> cutOf[b] = promiseHeld[AT(b, j)]
#else
    :: promiseHeld[AT(b, j)] > cutOf[b] -> cutOf[b] = promiseHeld[AT(b, j)]
#endif
    :: else
    fi;
    if
    :: promiseAt[AT(b, j)] > 0 && (best == 0 || PREFERRED(promiseAt[AT(b, j)], promiseAt[AT(b, best - 1)])) -> best = j + 1
    :: else
    fi;
    j++
  :: j < N && !HAS(promises[b], j) -> j++
  :: j == N -> break
  od;
#ifndef NO_INHERITANCE
  if
  :: best > 0 -> cutOf[b] = promiseCut[AT(b, best - 1)]; viewOf[b] = promiseView[AT(b, best - 1)]
  :: else
  fi;
#endif
  proposed[b] = true
}

/* A quorum has accepted: that is a decision, and there is only one. */
inline noteDecision(b) {
  quorumOf(accepts[b]);
  if
  :: isQuorum && decided -> assert(decidedCut == cutOf[b] && decidedView == viewOf[b])
  :: isQuorum && !decided ->
    decided = true; decidedCut = cutOf[b]; decidedView = viewOf[b];
    assert(safe <= decidedCut)
  :: !isQuorum
  fi
}

/* A6: as long as a quorum lives, someone that lives holds what was decided. */
inline checkHolder() {
  best = 0; set = 0; j = 0;
  do
  :: j < N && !dead[j] ->
    set = set | (1 << j);
    if :: held[j] >= decidedCut -> best = 1 :: else fi;
    j++
  :: j < N && dead[j] -> j++
  :: j == N -> break
  od;
  quorumOf(set);
  assert(!decided || !isQuorum || best == 1)
}

inline forget() { i = 0; j = 0; k = 0; count = 0; best = 0; set = 0; isQuorum = 0; b = 0 }

proctype Acceptor(byte me) {
  byte b;
  do
  :: atomic { me == 0 && !dead[0] && promised[0] == 0 && sent < M -> sent++; held[0] = sent }
  :: atomic { !dead[me] && held[me] < sent -> held[me]++ }
  :: atomic { !dead[me] && !IS_FROZEN && row[me] < held[me] -> row[me] = held[me]; noteSafe(); noteSafe(); forget() }
  /* A ballot begins with its proposer's own promise; everybody may hear of it then. */
  :: atomic {
      !dead[me] && promised[me] < B ->
      select(b : 1 .. B);
      if
      :: promised[me] < b && (PROPOSER(b) == me || HAS(promises[b], PROPOSER(b))) ->
        promised[me] = b;
        promises[b] = promises[b] | (1 << me);
        promiseHeld[AT(b, me)] = held[me];
        promiseAt[AT(b, me)] = acceptedAt[me];
        promiseCut[AT(b, me)] = acceptedCut[me];
        promiseView[AT(b, me)] = acceptedView[me]
      :: else
      fi;
      forget()
    }
  /* It wants all to go on, or all without one. */
  :: atomic {
      !dead[me] && promised[me] > 0 && PROPOSER(promised[me]) == me && !proposed[promised[me]] ->
      b = promised[me];
      quorumOf(promises[b]);
      if
      :: isQuorum -> propose(b, ALL)
      :: isQuorum -> propose(b, ALL & ~(1 << ((me + 1) % N)))
      :: !isQuorum
      fi;
      forget()
    }
  :: atomic {
      !dead[me] ->
      select(b : 1 .. B);
      if
      :: MAY_ACCEPT(b) ->
        if :: promised[me] < b -> promised[me] = b :: else fi;
        acceptedAt[me] = b; acceptedCut[me] = cutOf[b]; acceptedView[me] = viewOf[b];
        accepts[b] = accepts[b] | (1 << me);
        noteDecision(b)
      :: else
      fi;
      checkHolder(); forget()
    }
  :: atomic { !dead[me] && crashes < CRASHES -> crashes++; dead[me] = true; checkHolder(); forget() }
  :: dead[me] -> break
  od
}

init {
  atomic {
    byte n = 0;
    do
    :: n < N -> run Acceptor(n); n++
    :: else -> break
    od
  }
}
