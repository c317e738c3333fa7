/*
 * The flush of a group: how its members go from view to view while the directory makes targets, members die, and safe and
 * ordered messages are under way; rules C1 to C8 of docs/PROTOCOLS.md. A message is a fact that anybody may take at any
 * moment, or never. Targets are numbered as in the code: view 1 is the first, 0 is none. Members are ranked by age; those
 * from N on are joiners. The sequencer of a view is its oldest member.
 *
 * The flavours are two ways to look at the same run. Of ordered messages a member has delivered all that it could when
 * it reported; of safe ones somebody may have delivered all that rows have ever shown to be safe. Both must be the beginning
 * of what everybody delivers who goes on.
 *
 * Each of these names, when defined, plants a bug that must be found: ONE_PHASE, LATE_HOLD, NO_REISSUE, BLIND_REISSUE,
 * LAGGARDS_SKIPPED, NO_FREEZE, NO_PROMISE, DATA_ONLY, CUT_MINIMUM. With TURNS the sequencer announces at once what it receives,
 * as the code does in every turn; traces for the code are made so.
 */
#ifndef N
#define N 3 /* members of view 1 */
#endif
#ifndef J
#define J 0 /* joiners */
#endif
#ifndef T
#define T 2 /* targets after view 1 */
#endif
#ifndef M
#define M 1 /* messages */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define P (N + J)
#define V (T + 1)
#define FOUNDERS ((1 << N) - 1)
#define ALL ((1 << P) - 1)
#define HAS(mask, i) (((mask) >> (i)) & 1)
#define AT(a, b) ((a) * P + (b))

/* Of each member. */
byte view[P];  /* that it is in */
byte known[P]; /* the newest target that it has heard of */
byte held[P * P]; /* packets of each sender in its view */
byte seenStep[P], seenBallot[P]; /* the newest step it has seen, and the target under which it did */
byte dead, gone; /* who has died; who has died or was excluded and knows it */
/* Of the directory: the members of each target. */
byte members[V + 1];
byte newest = 1;
byte joined; /* those joiners that ever were in a target */
byte crashes;
byte sends;
/* Of each view: how many packets were sent; what each member has said that it holds; the order, which names senders and lies
 * in the stream of the sequencer; how much of it is safe. */
byte sent[(V + 1) * P];
byte row[(V + 1) * P * P];
byte orders[V + 1], orderOf[(V + 1) * (M + 1)], orderAt[(V + 1) * (M + 1)];
byte safe[V + 1];
/* The steps, each named by the target that it leads to, and the one that was taken out of each view. */
byte stepFrom[V + 1], stepCut[(V + 1) * P];
byte path[V + 1];
/* Of each target: who has reported, and what; the step that its leader has issued, who holds it, and whether all do. */
byte reported[V + 1], repView[(V + 1) * P], repSeen[(V + 1) * P], repBallot[(V + 1) * P], repRow[(V + 1) * P * P];
byte issued[V + 1], holds[V + 1];
bool passed[V + 1];
/* For calculations; zero between steps. */
hidden byte i, j, k, count, current, best, from, seqno, unfrozen, before;
hidden byte most[P], taken[P], drained[M + 2];
hidden byte flag;
#ifdef GOAL
/* A run is looked for in which all of these happen: 1 a fetch, 2 a step that is issued again, 4 one for those behind, 8 a death. */
byte met;
#define MEET(what) met = met | what
#else
#define MEET(what) skip
#endif

#define ACTIVE (!HAS(gone, me))
/* Who leads alone waits for nobody: nothing comes between its report and its view. */
#define READY (ACTIVE && (members[known[me]] != (1 << me) || view[me] == known[me]))
#define OPEN (view[me] > 0 && view[me] == known[me])
#define FIRST(mask, i) (HAS(mask, i) && ((mask) & ((1 << (i)) - 1)) == 0)
#define PARTICIPANTS(t) (members[t] & members[issued[t]])
#define ALL_HOLD(t) ((holds[t] & PARTICIPANTS(t)) == PARTICIPANTS(t))

#define LACKS(s, x) (held[AT(me, x)] < stepCut[AT(s, x)])
#if N + J == 2
#define LACKS_SOME(s) (LACKS(s, 0) || LACKS(s, 1))
#elif N + J == 3
#define LACKS_SOME(s) (LACKS(s, 0) || LACKS(s, 1) || LACKS(s, 2))
#elif N + J == 4
#define LACKS_SOME(s) (LACKS(s, 0) || LACKS(s, 1) || LACKS(s, 2) || LACKS(s, 3))
#else
#define LACKS_SOME(s) (LACKS(s, 0) || LACKS(s, 1) || LACKS(s, 2) || LACKS(s, 3) || LACKS(s, 4))
#endif
#define LACKS_CUT(s) (view[me] == stepFrom[s] && LACKS_SOME(s))

#ifdef NO_PROMISE
#define HEEDS(t) (known[me] >= t)
#define HOLD_COUNTS true
#else
#define HEEDS(t) (known[me] == t)
#ifdef LATE_HOLD
#define HOLD_COUNTS true
#else
#define HOLD_COUNTS (seenBallot[me] == known[me])
#endif
#endif
#ifdef NO_FREEZE
#define TELLS_ROW true
#else
#define TELLS_ROW OPEN
#endif

/* The seqno of what entry n of the order of view e names: packets of the sequencer stand for themselves. */
inline findSeqno(e, n) {
  seqno = 0; k = 0;
  if
  :: FIRST(members[e], orderOf[e * (M + 1) + n]) -> seqno = orderAt[e * (M + 1) + n]
  :: else ->
    do
    :: k < n -> if :: orderOf[e * (M + 1) + k] == orderOf[e * (M + 1) + n] -> seqno++ :: else fi; k++
    :: else -> break
    od
  fi;
  k = 0
}

inline findSequencer(e) {
  best = 0;
  do
  :: !FIRST(members[e], best) -> best++
  :: else -> break
  od
}

/* What a drain of view e at the cut of step s delivers, as senders plus one: first in the order, then by rank (C7). */
inline drain(e, s) {
  findSequencer(e);
  count = 0; j = 0;
  do
  :: j < P -> taken[j] = 0; j++
  :: else -> break
  od;
  j = 0;
  do
  :: j < orders[e] ->
    findSeqno(e, j);
    if
    :: orderAt[e * (M + 1) + j] < stepCut[AT(s, best)] && seqno < stepCut[AT(s, orderOf[e * (M + 1) + j])] ->
      drained[count] = orderOf[e * (M + 1) + j] + 1; count++;
      taken[orderOf[e * (M + 1) + j]]++
    :: else
    fi;
    /* Packets of order are no messages. */
    if :: orderOf[e * (M + 1) + j] != best && orderAt[e * (M + 1) + j] < stepCut[AT(s, best)] -> taken[best]++ :: else fi;
    j++
  :: else -> break
  od;
  j = 0;
  do
  :: j < P && taken[j] < stepCut[AT(s, j)] -> drained[count] = j + 1; count++; taken[j]++
  :: j < P && taken[j] >= stepCut[AT(s, j)] -> taken[j] = 0; j++
  :: j == P -> break
  od
}

/* D7, D8: the first n of the order are what the drain begins with. */
inline checkBeginning(e, n) {
  j = 0;
  do
  :: j < n -> assert(drained[j] == orderOf[e * (M + 1) + j] + 1); j++
  :: else -> break
  od
}

inline forgetDrained() {
  j = 0;
  do
  :: j <= M + 1 -> drained[j] = 0; j++
  :: else -> break
  od;
  j = 0; count = 0; best = 0; seqno = 0
}

/* C8: entry safe[e] of the order of view e is safe if all members have said that they hold it and what it names. */
inline noteSafe(e) {
  findSequencer(e);
  flag = true; before = safe[e];
  do
  :: flag && safe[e] < orders[e] ->
    findSeqno(e, safe[e]);
    unfrozen = 0; j = 0;
    do
    :: j < P && HAS(members[e], j) ->
      if
      :: row[AT(AT(e, j), orderOf[e * (M + 1) + safe[e]])] <= seqno -> flag = false
      :: else
      fi;
#ifdef DATA_ONLY
      /* Whoever delivers knows the order, at least. */
      if
      :: view[j] == e && known[j] == e && !HAS(gone, j) && row[AT(AT(e, j), best)] > orderAt[e * (M + 1) + safe[e]] -> unfrozen = 1
      :: else
      fi;
#else
      unfrozen = 1;
      if
      :: row[AT(AT(e, j), best)] <= orderAt[e * (M + 1) + safe[e]] -> flag = false
      :: else
      fi;
#endif
      j++
    :: j < P && !HAS(members[e], j) -> j++
    :: j == P -> break
    od;
    if :: flag && unfrozen -> safe[e]++ :: else -> flag = false fi
  :: else -> break
  od;
  if :: safe[e] > before -> printf("@ safe %d %d\n", e, safe[e]) :: else fi;
  before = 0;
  if
  :: path[e] > 0 -> drain(e, path[e]); checkBeginning(e, safe[e]); forgetDrained()
  :: else
  fi;
  j = 0; best = 0; seqno = 0; unfrozen = 0; flag = false
}

/* A packet has come from its sender, or out of a fetch. */
inline take(x) {
  held[AT(me, x)]++;
  if
  :: TELLS_ROW && row[AT(AT(view[me], me), x)] < held[AT(me, x)] ->
    row[AT(AT(view[me], me), x)] = held[AT(me, x)];
#ifdef TURNS
    if :: FIRST(members[view[me]], me) -> announce(x) :: else fi;
#endif
    noteSafe(view[me])
  :: else
  fi
}

inline enterOrder(x) {
  orderOf[view[me] * (M + 1) + orders[view[me]]] = x;
  orderAt[view[me] * (M + 1) + orders[view[me]]] = held[AT(me, me)];
  orders[view[me]]++
}

/* The sequencer says in its own stream that the next message of x is the next one. */
inline announce(x) {
  enterOrder(x);
  sent[AT(view[me], me)]++; held[AT(me, me)]++;
  row[AT(AT(view[me], me), me)] = held[AT(me, me)]
}

/* C2, C4: what it holds and has seen; the row of its view moves no more. */
inline report(t) {
  reported[t] = reported[t] | (1 << me);
  repView[AT(t, me)] = view[me]; repSeen[AT(t, me)] = seenStep[me]; repBallot[AT(t, me)] = seenBallot[me];
  j = 0;
  do
  :: j < P -> repRow[AT(AT(t, me), j)] = held[AT(me, j)]; j++
  :: else -> break
  od;
  j = 0
}

/* The leader has all reports: a step that somebody has not taken yet, a step that was seen and can be held, or a fresh one. */
inline issue(t) {
  current = 0; best = 0; k = 0; j = 0;
  do
  :: j < P && HAS(members[t], j) -> if :: repView[AT(t, j)] > current -> current = repView[AT(t, j)] :: else fi; j++
  :: j < P && !HAS(members[t], j) -> j++
  :: j == P -> break
  od;
  /* The most that anybody holds; whether some are behind a step that was seen (C5); the newest step that was seen. */
  flag = false; count = 0; j = 0;
#ifdef CUT_MINIMUM
  do
  :: j < P -> most[j] = 255; j++
  :: else -> break
  od;
  j = 0;
#endif
  do
  :: j < P && HAS(members[t], j) ->
    i = 0;
    do
#ifdef CUT_MINIMUM
    :: i < P && repView[AT(t, j)] == current && repRow[AT(AT(t, j), i)] < most[i] -> most[i] = repRow[AT(AT(t, j), i)]; i++
    :: i < P && !(repView[AT(t, j)] == current && repRow[AT(AT(t, j), i)] < most[i]) -> i++
#else
    :: i < P && repView[AT(t, j)] == current && repRow[AT(AT(t, j), i)] > most[i] -> most[i] = repRow[AT(AT(t, j), i)]; i++
    :: i < P && !(repView[AT(t, j)] == current && repRow[AT(AT(t, j), i)] > most[i]) -> i++
#endif
    :: i == P -> break
    od;
    if :: repSeen[AT(t, j)] == current -> flag = true :: else fi;
    if :: repView[AT(t, j)] < current && HAS(members[current], j) -> count = 1 :: else fi;
    if :: repBallot[AT(t, j)] > best -> best = repBallot[AT(t, j)]; k = repSeen[AT(t, j)] :: else fi;
    j++
  :: j < P && !HAS(members[t], j) -> j++
  :: j == P -> break
  od;
  i = 0;
#ifdef LAGGARDS_SKIPPED
  flag = false;
#endif
  if
  :: flag && count -> issued[t] = current; MEET(4)
  :: else ->
    /* C5: is that step taken out of the newest view, and do those who reported hold it together? */
    flag = (k > current && stepFrom[k] == current);
#ifndef BLIND_REISSUE
    j = 0;
    do
    :: j < P -> if :: flag && stepCut[AT(k, j)] > most[j] -> flag = false :: else fi; j++
    :: else -> break
    od;
#endif
#ifdef NO_REISSUE
    flag = false;
#endif
    if
    :: flag -> issued[t] = k; MEET(2)
    :: else ->
      issued[t] = t; stepFrom[t] = current; j = 0;
      do
      :: j < P -> stepCut[AT(t, j)] = most[j]; j++
      :: else -> break
      od
    fi
  fi;
  holds[t] = 0; passed[t] = false;
  reported[t] = reported[t] & ~PARTICIPANTS(t);
  j = 0;
  do
  :: j < P -> most[j] = 0; j++
  :: else -> break
  od;
  i = 0; j = 0; k = 0; best = 0; count = 0; current = 0; flag = false
}

/* The member takes the step that its target's leader has issued, if it has not taken it before. */
inline install(t) {
  if
  :: view[me] == issued[t]
  :: else ->
    from = stepFrom[issued[t]];
    /* M2, D3: one step out of each view, with one cut. */
    assert(path[from] == 0 || path[from] == issued[t]);
    path[from] = issued[t];
    drain(from, issued[t]);
    checkBeginning(from, safe[from]);
    if
    :: view[me] == from ->
      /* D4, and what it had delivered of the order before it was frozen (D7). */
      assert(stepCut[AT(issued[t], me)] == sent[AT(from, me)]);
      findSequencer(from); i = 0;
      do
      :: i < orders[from] && row[AT(AT(from, me), best)] > orderAt[from * (M + 1) + i] ->
        findSeqno(from, i);
        if :: row[AT(AT(from, me), orderOf[from * (M + 1) + i])] > seqno -> i++ :: else -> break fi
      :: else -> break
      od;
      checkBeginning(from, i)
    :: else
    fi;
    view[me] = issued[t];
    j = 0;
    do
    :: j < P -> held[AT(me, j)] = 0; j++
    :: else -> break
    od;
    /* What a member from there has delivered in the old view. */
    printf("@ install %d %d", me, issued[t]);
    j = 0;
    do
    :: j <= M && drained[j] > 0 -> printf(" %d", drained[j] - 1); j++
    :: else -> break
    od;
    printf("\n");
    forgetDrained();
    j = 0
  fi;
  /* C6: a view that is outdated when it is installed is frozen from the start. */
  if :: issued[t] < t -> report(t) :: else fi;
  i = 0; j = 0; from = 0
}

/* A fetch is answered by whoever is in the view and among the target's members. */
#define GIVES(h, x) (h < P && h != me && !HAS(gone, h) && view[h] == view[me] && HAS(members[known[me]], h) && held[AT(h, x)] > held[AT(me, x)])
#define FETCHABLE(x) (GIVES(0, x) || GIVES(1, x) || GIVES(2, x) || GIVES(3, x) || GIVES(4, x))

/* What a dead sender had sent does not come any more to those who know of a target without it. */
#define PACKETS(x) \
  :: d_step { READY && x != me && view[me] > 0 && held[AT(me, x)] < sent[AT(view[me], x)] && (!HAS(dead, x) || HAS(members[known[me]], x)) -> \
      printf("@ receive %d %d\n", me, x); take(x) } \
  :: d_step { READY && x != me && seenStep[me] > 0 && seenBallot[me] == known[me] && stepFrom[seenStep[me]] == view[me] && LACKS(seenStep[me], x) && FETCHABLE(x) -> \
      MEET(1); printf("@ fetch %d %d\n", me, x); take(x) } \
  ORDERS(x)

#ifdef TURNS
#define ORDERS(x)
#else
/* Entries that name x, and what the sequencer holds of it: the two meet when all is announced. */
#define ORDERS(x) \
  :: d_step { READY && x != me && OPEN && FIRST(members[view[me]], me) && UNORDERED(x) -> \
      printf("@ order %d %d\n", me, x); announce(x); noteSafe(view[me]) }
#if M == 1
#define NAMED(x) (orders[view[me]] > 0 && orderOf[view[me] * 2] == x)
#elif M == 2
#define NAMED(x) ((orders[view[me]] > 0 && orderOf[view[me] * 3] == x) + (orders[view[me]] > 1 && orderOf[view[me] * 3 + 1] == x))
#else
#define NAMED(x) ((orders[view[me]] > 0 && orderOf[view[me] * 4] == x) + (orders[view[me]] > 1 && orderOf[view[me] * 4 + 1] == x) + (orders[view[me]] > 2 && orderOf[view[me] * 4 + 2] == x))
#endif
#define UNORDERED(x) (NAMED(x) < row[AT(AT(view[me], me), x)])
#endif

#define TARGET(t) \
  /* The leader has all reports; its own cut comes to it at once. */ \
  :: d_step { ACTIVE && HEEDS(t) && FIRST(members[t], me) && (reported[t] & members[t]) == members[t] -> \
      issue(t); \
      printf("@ issue %d %d %d %d", me, t, issued[t], stepFrom[issued[t]]); \
      j = 0; \
      do \
      :: j < P -> printf(" %d", stepCut[AT(issued[t], j)]); j++ \
      :: else -> break \
      od; \
      printf("\n"); j = 0; \
      if \
      :: HAS(PARTICIPANTS(t), me) -> \
        seenBallot[me] = t; seenStep[me] = issued[t]; \
        if :: !LACKS_CUT(issued[t]) -> holds[t] = holds[t] | (1 << me) :: else fi; \
        if :: ALL_HOLD(t) -> passed[t] = true; install(t) :: else fi \
      :: else \
      fi } \
  :: d_step { ACTIVE && HEEDS(t) && issued[t] > 0 && HAS(PARTICIPANTS(t), me) && !HAS(reported[t], me) && \
      (view[me] == 0 || view[me] == stepFrom[issued[t]] || view[me] == issued[t]) && view[me] < t && \
      (seenBallot[me] != t || seenStep[me] != issued[t]) -> \
      printf("@ see %d %d\n", me, t); \
      seenBallot[me] = t; seenStep[me] = issued[t] } \
  :: d_step { ACTIVE && HOLD_COUNTS && seenBallot[me] == t && seenStep[me] == issued[t] && !HAS(holds[t], me) && !LACKS_CUT(issued[t]) -> \
      printf("@ hold %d %d\n", me, t); \
      holds[t] = holds[t] | (1 << me) } \
  :: d_step { ACTIVE && HEEDS(t) && seenBallot[me] == t && seenStep[me] == issued[t] && !HAS(reported[t], me) && view[me] < t && MAY_INSTALL(t) -> \
      printf("@ pass %d %d\n", me, t); \
      if :: FIRST(members[t], me) -> passed[t] = true :: else fi; \
      install(t) }

#ifdef ONE_PHASE
#define MAY_INSTALL(t) !LACKS_CUT(issued[t])
#else
#define MAY_INSTALL(t) (HAS(holds[t], me) && (passed[t] || (FIRST(members[t], me) && ALL_HOLD(t))))
#endif

proctype Member(byte me) {
  do
  :: d_step {
      READY && OPEN && sends < M ->
      printf("@ send %d\n", me);
      sends++;
      if :: FIRST(members[view[me]], me) -> enterOrder(me) :: else fi;
      sent[AT(view[me], me)]++; held[AT(me, me)]++;
      row[AT(AT(view[me], me), me)] = held[AT(me, me)];
      noteSafe(view[me])
    }
  :: d_step {
      READY && known[me] < newest ->
      known[me]++;
      printf("@ learn %d %d\n", me, known[me]);
      if
      :: HAS(members[known[me]], me) -> report(known[me])
      :: !HAS(members[known[me]], me) && HAS(members[known[me] - 1], me) -> gone = gone | (1 << me)
      :: else
      fi
    }
  PACKETS(0)
  PACKETS(1)
#if N + J > 2
  PACKETS(2)
#endif
#if N + J > 3
  PACKETS(3)
#endif
#if N + J > 4
  PACKETS(4)
#endif
  TARGET(2)
#if T > 1
  TARGET(3)
#endif
#if T > 2
  TARGET(4)
#endif
#if T > 3
  TARGET(5)
#endif
  od
}

/* The directory, which may suspect anybody, rightly or wrongly; and death. Both end at some moment; then all must settle. */
proctype World() {
  byte set;
  do
  :: atomic {
      newest < V ->
      select(set : 1 .. ALL);
      if
      /* A target has nobody that was left out before, and somebody that has the state (C9). */
      :: (set & ~(members[newest] | (ALL & ~FOUNDERS & ~joined))) == 0 && (set & FOUNDERS) && set != members[newest] ->
        newest++; members[newest] = set; joined = joined | (set & ~FOUNDERS);
        printf("@ target %d %d\n", newest, set)
      :: else
      fi;
      set = 0
    }
  :: atomic {
      crashes < CRASHES ->
      select(set : 0 .. P - 1);
      if
      :: !HAS(gone, set) -> crashes++; MEET(8); dead = dead | (1 << set); gone = gone | (1 << set); printf("@ crash %d\n", set)
      :: else
      fi;
      set = 0
    }
  :: break
  od;
  set = 0;
  /* When nothing can happen any more, those of the newest target are in its view, if they all live. */
  do
  :: atomic {
      timeout ->
      do
      :: set < P -> assert((members[newest] & dead) || !HAS(members[newest], set) || view[set] == newest); set++
      :: else -> break
      od;
#ifdef GOAL
      assert(newest < V || sends < M || (members[newest] & dead) || (met & GOAL) != GOAL);
#endif
      goto ended
    }
  od;
ended:
  skip
}

init {
  atomic {
    byte n = 0;
    members[1] = FOUNDERS;
    do
    :: n < P ->
      known[n] = 1;
      if :: n < N -> view[n] = 1 :: else fi;
      run Member(n);
      n++
    :: else -> break
    od;
    n = 0;
    run World()
  }
}
