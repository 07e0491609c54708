/* Revocation, leases and restores: one process, one guarded action per step, all state global.
 *
 * Security nodes keep nothing that is believed, so each action of a node may happen at any database that is there: that
 * covers any number of nodes, their clones, nodes that still use an old database, and reconnects in the middle of a wait.
 * What a node does keep (the one who waits for a revocation: W) is modelled on its own.
 *
 * Time is in ticks. A message carries its age. A lease counts L ticks from the send time of its beat, up to D more on a
 * slow clock of the Proxy; a waiting node counts L+M. A process that is suspended is one that takes no step.
 *
 * Rules are switched off with -DNO_..., faults switched on with -D...: src/searches.ts names each, and what must come of it. */

#ifndef NP
#define NP 2            /* Proxy processes */
#endif
#ifndef ND
#define ND 2            /* databases: the first one and one for each restore */
#endif
#ifndef ME
#define ME 3            /* entries of a log at most */
#endif
#ifndef NB
#define NB 1            /* beats in flight of one Proxy process */
#endif
#ifndef NN
#define NN 2            /* entries that hit nobody, all together */
#endif
#ifndef L
#define L 2
#endif
#ifndef D
#define D 0
#endif
#ifndef M
#define M D
#endif
#ifndef ROUNDS
#define ROUNDS 14       /* of messages that calm gives every Proxy in a tick (PROGRESS) */
#endif
#define LM (L+M)
#define AGED (L+D)      /* an older beat gives no lease any more */

/* kinds of entries */
#define NOISE 1
#define END 2           /* ends the subject (user, session, ...) */
#define RIGHT 3         /* takes a right of the subject */

/* the rules as they were first: all corrections off */
#ifdef FIRST_RULES
#define NO_EPOCH        /* log epoch in the database, in beats, answers and grants; NO_EPOCH_BEAT, NO_EPOCH_GRANT: one side of it */
#define NO_INSTANCE     /* lease rows by process instead of by name */
#define NO_CHECK        /* who waits looks whether the log still holds the entry */
#define NO_HOLD         /* a new epoch answers nothing early for one lease */
#define NO_JOURNAL      /* what was acknowledged is appended again after a restore */
#define NO_CLAIM        /* the journal takes entries of the epoch only that claimed it last */
#define NO_FENCE        /* a restored database opens only when all others are closed */
#define NO_LASTLOOK     /* rights are looked at in the last look before the backend, not only the lease */
#define NO_DONE         /* an entry of rights counts as applied when rights were read again */
#endif

#ifdef NO_EPOCH
#define NO_EPOCH_BEAT
#define NO_EPOCH_GRANT
#endif

/* ---- databases ---- */
byte nd = 1;            /* databases there are */
byte st[ND];            /* 0 none, 1 copied, 2 replayed, 3 open, 4 closed */
byte ep[ND];            /* epoch */
byte hd[ND];            /* head of the log */
byte hold[ND];          /* ticks in which nothing is answered early */
byte kd[ND*ME];         /* kind of entry i at d: kd[d*ME+i-1] */
byte og[ND*ME];         /* database that appended it: the hash of the chain in short */
byte ra[ND*NP];         /* lease rows: what the Proxy has in force */
byte rt[ND*NP];         /* lease rows: ticks until the lease is over, as a waiting node counts; 0: no row */
#if ND > 1
byte jc;                /* database that claimed the journal last */
#endif
#ifdef AUTH
/* a node gives leases only while it knows that its epoch holds the journal: A ticks after it looked */
#ifndef A
#define A 1
#endif
byte au[ND];
#else
#define A 0
#endif
byte nn = NN;

#define OPEN(d) (st[d] == 3)
#define K(d,i) kd[(d)*ME+(i)-1]
#define O(d,i) og[(d)*ME+(i)-1]

/* ---- who waits ---- */
byte wk, wd, wi, wt;    /* kind (0: nobody), database, index, ticks */
byte ws;                /* 0 committed, 1 in the journal, 2 found in force, to be told */
bool jE, jR;            /* the journal holds it */
bool ackE, ackR;        /* somebody was told: in force */

/* ---- Proxy processes ---- */
bool fr[NP];            /* follows no log yet */
byte pe[NP];            /* epoch it follows */
byte pa[NP];            /* last entry it has seen */
byte po[NP];            /* and its hash */
byte pn[NP];            /* last entry in force while rights are read again */
byte pb[NP];            /* where it began */
byte pE[NP], pR[NP];    /* index of the last END and RIGHT it has seen */
byte ls[NP];            /* lease */
byte ch[NP];            /* channel of the subject: 0 none, 1 ready, 2 rights are being read */
bool cr[NP];            /* its grant has the right */
bool q[NP];             /* a request that was decided and waits for the backend, or an open stream */
/* grant in flight */
byte gs[NP];            /* 0 none, 1 of a HELLO, 2 of a re-read, 3 a re-read that says: over */
byte gd[NP], ga[NP];    /* database and index it was read at */
bool gr[NP];
/* beats in flight */
byte bs[NP*NB];         /* 0 none, 1 sent, 2 answered */
byte bg[NP*NB];         /* age */
bool bv[NP*NB];         /* the Proxy still waits for the answer */
bool bf[NP*NB];         /* fresh */
byte bp[NP*NB];         /* position */
byte bn[NP*NB];         /* in force */
byte be[NP*NB];         /* epoch */
byte bo[NP*NB];         /* hash */
byte bd[NP*NB];         /* answered by database */
byte bh[NP*NB];         /* head of the answer */
bool bx[NP*NB];         /* the answer says: begin anew */
#if NB > 1
byte lastb[NP];         /* slot of the newest beat */
#endif

byte p, d, b, i, j, k, x;
bool f, ok;
#ifdef PROGRESS
byte pp, dd, tt, rr, h0;
#endif

#ifdef NO_INSTANCE
#define KEY(p) 0        /* both processes have one name */
#else
#ifdef CLONE
byte in[NP];            /* instance id: a process whose memory is copied has the same one */
#define KEY(p) in[p]
#else
#define KEY(p) (p)
#endif
#endif


/* one of the values for which a guard holds; an action whose guard holds for none is not offered */
#if NP == 1
#define EACHP(G) :: G(0) -> p = 0
#elif NP == 2
#define EACHP(G) :: G(0) -> p = 0 :: G(1) -> p = 1
#else
#define EACHP(G) :: G(0) -> p = 0 :: G(1) -> p = 1 :: G(2) -> p = 2
#endif
#if ND == 1
#define EACHD(G) :: G(0) -> d = 0
#elif ND == 2
#define EACHD(G) :: G(0) -> d = 0 :: G(1) -> d = 1
#else
#define EACHD(G) :: G(0) -> d = 0 :: G(1) -> d = 1 :: G(2) -> d = 2
#endif
#if NP*NB == 1
#define EACHB(G) :: G(0) -> b = 0
#elif NP*NB == 2
#define EACHB(G) :: G(0) -> b = 0 :: G(1) -> b = 1
#elif NP*NB == 3
#define EACHB(G) :: G(0) -> b = 0 :: G(1) -> b = 1 :: G(2) -> b = 2
#else
#define EACHB(G) :: G(0) -> b = 0 :: G(1) -> b = 1 :: G(2) -> b = 2 :: G(3) -> b = 3
#endif
/* some index of the log of d, 0 to its head */
#define SOMEX(d) if :: x = 0 :: hd[d] > 0 -> x = 1 :: hd[d] > 1 -> x = 2 :: hd[d] > 2 -> x = 3 :: hd[d] > 3 -> x = 4 fi

#ifdef READ_LEASE  /* a lease without a write: a stale primary can give it */
#define GIVES(d) (st[d] >= 3)
#else
#ifdef AUTH
#define GIVES(d) (OPEN(d) && au[d] > 0)
#else
#define GIVES(d) OPEN(d)
#endif
#endif
#ifdef STALE_READ  /* reads that need not prove that they come from the primary */
#define READS(d) (st[d] >= 3)
#else
#define READS(d) OPEN(d)
#endif

/* guards */
#define g_send(b) (bs[b] == 0)
#define g_sent(b) (bs[b] == 1)
#define g_answered(b) (bs[b] == 2)
#define g_beat(b) (bs[b] != 0)
#define g_asks(p) (gs[p] == 0 && (ch[p] != 0 || (ls[p] > 0 && !fr[p])))
#define g_grant(p) (gs[p] != 0)
#define g_decide(p) (ch[p] == 1 && cr[p] && ls[p] > 0 && !q[p])
#ifndef NO_LASTLOOK
#define g_pass(p) (q[p] && ch[p] == 1 && cr[p] && ls[p] > 0)
#else
#define g_pass(p) (q[p] && ch[p] != 0 && ls[p] > 0)
#endif
#define g_channel(p) (ch[p] != 0)
#define g_runs(p) (!fr[p])
#define g_noise(d) (OPEN(d) && hd[d] < ME && nn > 0)
#define g_revoke(d) (OPEN(d) && wk == 0)
#ifdef STALE_LOOK
#define LOOKS(d) (st[d] >= 3)
#else
#define LOOKS(d) OPEN(d)
#endif
#ifdef JOURNAL_LAST
#define g_look(d) (LOOKS(d) && wk != 0 && ws == 0)
#else
#define g_look(d) (LOOKS(d) && wk != 0 && ws == 1)
#endif
#define g_gives(d) GIVES(d)
#define g_reads(d) READS(d)
#define g_source(d) (st[d] >= 3)
#ifdef QUICK_GRANTS  /* no grant is under way while a database is closed, nor asked for at the old one after */
#define g_close(d) (OPEN(d) && nd > 1 && !SOMEP(g_grant))
#else
#define g_close(d) (OPEN(d) && nd > 1)
#endif
#define g_copied(d) (d > 0 && st[d] == 1)
#define g_ready(d) (d > 0 && st[d] == 2)
#define g_closed(d) (st[d] == 4)
#define g_open(d) OPEN(d)
#if ND == 1
#define SOMED(A) (A(0))
#elif ND == 2
#define SOMED(A) (A(0) || A(1))
#else
#define SOMED(A) (A(0) || A(1) || A(2))
#endif
#if NP == 1
#define SOMEP(A) (A(0))
#elif NP == 2
#define SOMEP(A) (A(0) || A(1))
#else
#define SOMEP(A) (A(0) || A(1) || A(2))
#endif
#if NP*NB == 1
#define SOMEB(A) (A(0))
#elif NP*NB == 2
#define SOMEB(A) (A(0) || A(1))
#elif NP*NB == 3
#define SOMEB(A) (A(0) || A(1) || A(2))
#else
#define SOMEB(A) (A(0) || A(1) || A(2) || A(3))
#endif

inline inlog(dd, kk, up, res) { /* index of kk in the log of dd up to up, 0 if it is not there */
  res = 0; i = 1;
  do
  :: i <= up -> if :: K(dd,i) == kk -> res = i :: else fi; i++
  :: else -> break
  od; i = 0
}

inline drop(pp) { /* the channel ends */
  ch[pp] = 0; cr[pp] = 0; q[pp] = 0; pn[pp] = 0;
  if :: gs[pp] >= 2 -> gs[pp] = 0; gd[pp] = 0; ga[pp] = 0; gr[pp] = 0 :: else fi
}

inline clearb(s) { bs[s]=0; bg[s]=0; bv[s]=0; bf[s]=0; bp[s]=0; bn[s]=0; be[s]=0; bo[s]=0; bd[s]=0; bh[s]=0; bx[s]=0 }

inline startanew(pp) { /* follows no log, serves nobody */
  drop(pp); ls[pp]=0; fr[pp]=1; pe[pp]=0; pa[pp]=0; po[pp]=0; pn[pp]=0; pb[pp]=0; pE[pp]=0; pR[pp]=0
}

inline seen(pp, kk, idx, oo) { /* one entry is applied */
#ifndef NO_DONE
  if :: kk == RIGHT && ch[pp] == 1 -> pn[pp] = pa[pp] :: else fi;
#endif
  pa[pp] = idx; po[pp] = oo;
  if
  :: kk == END -> pE[pp] = idx;
#ifdef CLAIMED
     /* held against what the device claims: it may claim something else */
     skip
#else
     if :: ch[pp] -> drop(pp) :: else fi
#endif
  :: kk == RIGHT -> pR[pp] = idx; if :: ch[pp] -> ch[pp] = 2 :: else fi
  :: else
  fi
}

/* what a Proxy has in force: what it has seen, or less while rights are being read */
#ifndef NO_DONE
#define DONE(p) ((ch[p] == 2 && pn[p] < pa[p]) -> pn[p] : pa[p])
#else
#define DONE(p) pa[p]
#endif

/* ---- actions; p, b, d, x are chosen before and are 0 again after them ---- */

inline a_tick() {
  printf("tick\n");
  p = 0; do :: p < NP -> if :: ls[p] -> ls[p]-- :: else fi; p++ :: else -> break od; p = 0;
  b = 0; do :: b < NP*NB -> if :: bs[b] && bg[b] < AGED -> bg[b]++ :: else fi; b++ :: else -> break od; b = 0;
  d = 0; do :: d < ND -> if :: hold[d] -> hold[d]-- :: else fi;
#ifdef AUTH
    if :: au[d] -> au[d]-- :: else fi;
#endif
    d++ :: else -> break od; d = 0;
  b = 0; do :: b < ND*NP -> if :: rt[b] -> rt[b]--; if :: rt[b] == 0 -> ra[b] = 0 :: else fi :: else fi; b++ :: else -> break od; b = 0;
  if :: wt -> wt-- :: else fi
}

inline a_send() { /* a Proxy sends a beat: its lease will count from now */
  p = b/NB; bs[b] = 1; bg[b] = 0; bv[b] = 1; bf[b] = fr[p];
#if NB > 1
  lastb[p] = b;
#endif
  printf("Proxy %d sends a beat: epoch %d, seen %d, in force %d, fresh %d\n", p, pe[p], pa[p], DONE(p), fr[p]);
  bp[b] = pa[p]; bn[b] = DONE(p); be[b] = pe[p]; bo[b] = po[p];
  p = 0; b = 0
}

inline a_record() { /* a node records a beat and reads the log, in one durable transaction */
  f = 0;
#ifndef NO_EPOCH_BEAT
  f = !bf[b] && be[b] != ep[d];
#endif
#ifdef CHAIN
  if :: !f && !bf[b] && (bp[b] > hd[d]) -> f = 1
     :: !f && !bf[b] && bp[b] > 0 && bp[b] <= hd[d] -> if :: O(d,bp[b]) != bo[b] -> f = 1 :: else fi
     :: else fi;
#endif
  printf("a node records it at database %d: head %d, begin anew %d (Proxy %d)\n", d, hd[d], f, b/NB);
  bs[b] = 2; bd[b] = d; bh[b] = hd[d]; bx[b] = f;
  if
  :: !f && OPEN(d) -> x = d*NP + KEY(b/NB); ra[x] = bn[b]; rt[x] = LM; x = 0
  :: else
  fi;
  bn[b] = 0; be[b] = 0; bo[b] = 0; if :: f -> bp[b] = 0; bh[b] = 0; bf[b] = 0 :: else fi;
  b = 0; d = 0; f = 0
}

inline a_deliver() { /* an answer arrives */
  p = b/NB; d = bd[b]; ok = bv[b];
#if !defined(NO_EPOCH_BEAT) && !defined(LATE_ANSWERS)
  /* one that nobody waits for says nothing; neither does one of another epoch, unless a fresh beat asked for it */
  f = ok && (bx[b] || bf[b] || pe[p] == ep[d]);
#else
  f = 1;
#endif
  x = bx[b];
#ifdef CHAIN_ALL
  /* one of another log than the one that is followed: begin anew, too */
  if
  :: f && !x && !fr[p] ->
     i = (bh[b] < pa[p] -> bh[b] : pa[p]);
     if :: i > 0 -> j = po[p]-1; if :: O(d,i) != O(j,i) -> x = 1 :: else fi; j = 0 :: else fi; i = 0
  :: else
  fi;
#endif
  if
  :: !f
  :: f && x ->
     startanew(p);
     j = 0; do :: j < NB -> bv[p*NB+j] = 0; j++ :: else -> break od; j = 0
  :: f && !x ->
#if NB > 1
     if :: ok && b == lastb[p] -> j = 0; do :: j < NB -> bv[p*NB+j] = 0; j++ :: else -> break od; j = 0 :: else fi;
#endif
     if
     :: fr[p] && ok -> fr[p] = 0; pa[p] = bh[b]; pb[p] = bh[b]; pe[p] = ep[d];
        if :: bh[b] -> po[p] = O(d,bh[b]) :: else -> po[p] = 0 fi
     :: else
     fi;
     if
     :: !bf[b] ->
        j = bp[b]+1;
        do
        :: j <= bh[b] -> if :: j == pa[p]+1 -> x = O(d,j); k = K(d,j); seen(p, k, j, x) :: else fi; j++
        :: else -> break
        od; j = 0; x = 0; k = 0
     :: else
     fi;
#ifdef LEASE_DONE
     /* a lease counts only when everything up to its head is in force */
     ok = ok && DONE(p) >= bh[b];
#endif
     if
     :: ok && pa[p] >= bh[b] && L + D > bg[b] ->
        x = L + D - bg[b]; if :: x > ls[p] -> ls[p] = x :: else fi; x = 0
     :: else
     fi
  fi;
  printf("Proxy %d gets the answer: seen %d, lease %d, channel %d\n", p, pa[p], ls[p], ch[p]);
  clearb(b); p = 0; b = 0; d = 0; f = 0; ok = 0; x = 0
}

inline a_ask() { /* a node authorises a HELLO, or reads rights again: the log as of x */
  inlog(d, END, x, j); inlog(d, RIGHT, x, k);
  f = (k == 0);
  if
  :: j && ch[p] -> gs[p] = 3; gd[p] = d
  :: j && !ch[p]
  :: !j -> gs[p] = (ch[p] -> 2 : 1); gd[p] = d; ga[p] = x; gr[p] = f
  fi;
  printf("Proxy %d asks, database %d: answer %d, as of %d, right %d\n", p, d, gs[p], x, f);
  j = 0; k = 0; x = 0; f = 0; p = 0; d = 0
}

inline a_grant() { /* a grant arrives and is held against what was seen since it was read */
  d = gd[p];
#ifndef NO_EPOCH_GRANT
  f = fr[p] || pe[p] != ep[d];      /* read in another log: to be read again */
#else
  f = 0;
#endif
#ifdef CHAIN_ALL        /* the entry as of which it was read is of the log that is followed: the one that appended the last entry has it, too */
  if :: !f && ga[p] > 0 && ga[p] <= pa[p] -> j = po[p]-1; if :: O(d,ga[p]) != O(j,ga[p]) -> f = 1 :: else fi; j = 0 :: else fi;
#ifndef NO_AHEAD        /* one as of an entry that this Proxy has not seen says nothing of what it has */
  if :: ga[p] > pa[p] -> f = 1 :: else fi;
#endif
#endif
  if
  :: gs[p] == 3 -> drop(p)
  :: gs[p] == 1 && ls[p] == 0       /* no lease, no channel */
  :: gs[p] < 3 && !(gs[p] == 1 && ls[p] == 0) ->
     if
     :: !f && ga[p] < pa[p] && pE[p] > ga[p] -> drop(p)
     :: f || (ga[p] < pa[p] && !(pE[p] > ga[p]) && (ga[p] < pb[p] || pR[p] > ga[p])) ->
        if :: gs[p] == 1 -> ch[p] = 2; cr[p] = gr[p] :: else -> ch[p] = 2 fi
     :: else -> ch[p] = 1; cr[p] = gr[p]; pn[p] = 0; if :: !gr[p] -> q[p] = 0 :: else fi
     fi
  fi;
  gs[p] = 0; gd[p] = 0; ga[p] = 0; gr[p] = 0;
  printf("Proxy %d gets the grant: channel %d, right %d\n", p, ch[p], cr[p]);
  p = 0; d = 0; f = 0
}

#ifdef RIGHTS
#define WHAT RIGHT
#else
#define WHAT END
#endif

inline a_revoke() { /* somebody revokes; the same request again waits for the same entry */
  k = WHAT;
  inlog(d, k, hd[d], j);
  if
  :: j -> wk = k; wd = d; wi = j; wt = LM
  :: !j && hd[d] < ME -> hd[d]++; K(d,hd[d]) = k; O(d,hd[d]) = d+1; wk = k; wd = d; wi = hd[d]; wt = LM
  :: else
  fi;
#if ND == 1
  if :: wk -> ws = 1 :: else fi;
#endif
  printf("the subject is revoked at database %d: entry %d\n", wd, wi);
  d = 0; j = 0; k = 0
}

#define FORGET wk = 0; wd = 0; wi = 0; wt = 0; ws = 0

inline a_tell() {
#ifdef NOBODY_TOLD      /* shows that the search gets this far */
  assert(false);
#endif
#ifdef JOURNAL_LAST
  if :: wk == END -> jE = 1 :: else -> jR = 1 fi;
#endif
  printf("ACKNOWLEDGED: entry %d of database %d\n", wi, wd);
  if :: wk == END -> ackE = 1 :: else -> ackR = 1 fi;
  FORGET
}

inline a_look() { /* who waits reads the leases, at whatever database the node has now */
#ifndef NO_CHECK
  ok = (ep[d] == ep[wd] && hd[d] >= wi);
  if :: ok && O(d,wi) != O(wd,wi) -> ok = 0 :: else fi;
#else
  ok = 1;
#endif
  f = (wt == 0);
  j = 1; p = 0;
  do
  :: p < NP -> if :: rt[d*NP+p] && ra[d*NP+p] < wi -> j = 0 :: else fi; p++
  :: else -> break
  od; p = 0;
#ifndef NO_HOLD
  if :: hold[d] -> j = 0; f = 0 :: else fi;
#endif
  if :: ok && (f || j) -> printf("by leases at database %d it is in force\n", d); ws = 2 :: else fi;
  d = 0; j = 0; ok = 0; f = 0
}

#if ND > 1
#define OTHERS_OPEN(res) x = 0; res = 0; do :: x < ND -> if :: OPEN(x) -> res = 1 :: else fi; x++ :: else -> break od; x = 0

inline a_copy() { /* an earlier state of a database that is or was in use */
  j = 1; do :: j <= x -> K(nd,j) = K(d,j); O(nd,j) = O(d,j); j++ :: else -> break od; j = 0;
  hd[nd] = x; x = 0
}

inline a_journal() { /* what the journal holds is appended */
  OTHERS_OPEN(f);
#if defined(EARLY_JOURNAL) || defined(NO_FENCE)
  f = 0;
#endif
  if
  :: !f ->
     jc = d;
#ifndef NO_JOURNAL
     inlog(d, END, hd[d], j);
     if :: jE && !j && hd[d] < ME -> hd[d]++; K(d,hd[d]) = END; O(d,hd[d]) = d+1 :: jE && !j && hd[d] == ME -> st[d] = 4 :: else fi;
     inlog(d, RIGHT, hd[d], j);
     if :: jR && !j && hd[d] < ME -> hd[d]++; K(d,hd[d]) = RIGHT; O(d,hd[d]) = d+1 :: jR && !j && hd[d] == ME -> st[d] = 4 :: else fi;
     j = 0;
#endif
     if :: st[d] == 1 -> st[d] = 2; printf("database %d has the journal: head %d\n", d, hd[d]) :: else fi
  :: else
  fi; f = 0; d = 0
}

inline a_open() {
  OTHERS_OPEN(f);
#ifdef NO_FENCE
  f = 0;
#endif
#ifndef NO_CLAIM
  f = f || jc != d;
#endif
  if
  :: !f -> st[d] = 3; printf("database %d opens\n", d);
#ifndef NO_HOLD
     hold[d] = LM + A
#else
     skip
#endif
  :: else
  fi; f = 0; d = 0
}

inline forgetrows() {
#if !defined(ZOMBIE) && !defined(STALE_LOOK)
  p = 0; do :: p < NP -> ra[d*NP+p] = 0; rt[d*NP+p] = 0; p++ :: else -> break od; p = 0;
#endif
#ifndef ZOMBIE
  hold[d] = 0
#else
  skip
#endif
}
#endif

active proctype all() {
  d_step { st[0] = 3; ep[0] = 1; p = 0; do :: p < NP -> fr[p] = 1;
#ifdef CLONE
    in[p] = p;
#endif
    p++ :: else -> break od; p = 0 }
end:
  do
  :: d_step { a_tick() }

  /* beats */
  :: atomic { if EACHB(g_send) fi; d_step { a_send() } }
  :: atomic { SOMEB(g_sent) && SOMED(g_gives) -> if EACHB(g_sent) fi; if EACHD(g_gives) fi; d_step { a_record() } }
  :: atomic { if EACHB(g_answered) fi; d_step { a_deliver() } }
  :: atomic { if EACHB(g_beat) fi; d_step { printf("a beat or answer is lost\n"); clearb(b); b = 0 } }

  /* grants */
  :: atomic { SOMEP(g_asks) && SOMED(g_reads) -> if EACHP(g_asks) fi; if EACHD(g_reads) fi;
#ifdef STALE_READ
    SOMEX(d);
#else
    x = hd[d];
#endif
    d_step { a_ask() } }
  :: atomic { if EACHP(g_grant) fi; d_step { a_grant() } }
  :: atomic { if EACHP(g_grant) fi; d_step { gs[p]=0; gd[p]=0; ga[p]=0; gr[p]=0; p = 0 } }

  /* a request is decided and waits for its backend, or a stream opens; then the last look before bytes go out */
  :: atomic { if EACHP(g_decide) fi; d_step { printf("Proxy %d decides a request\n", p); q[p] = 1; p = 0 } }
#ifndef PROGRESS
  :: atomic { if EACHP(g_pass) fi; d_step { printf("Proxy %d passes a request to the backend\n", p); assert(!ackE && !ackR); p = 0 } }
#endif

  /* a channel ends; a Proxy process dies and another one begins; its memory is copied while it runs */
  :: atomic { if EACHP(g_channel) fi; d_step { printf("channel at Proxy %d ends\n", p); drop(p); p = 0 } }
#ifdef CRASH
  :: atomic { if EACHP(g_runs) fi; d_step {
    printf("Proxy %d dies, another one begins\n", p);
    startanew(p); gs[p]=0; gd[p]=0; ga[p]=0; gr[p]=0;
    j = 0; do :: j < NB -> b = p*NB+j; clearb(b); j++ :: else -> break od; j = 0; b = 0; p = 0 } }
#endif
#ifdef CLONE
  :: d_step { in[1] != in[0] && gs[1] == 0 && bs[NB] == 0 && !fr[0] -> printf("Proxy 1 is a copy of Proxy 0\n");
    in[1] = in[0]; fr[1]=fr[0]; pe[1]=pe[0]; pa[1]=pa[0]; po[1]=po[0]; pn[1]=pn[0]; pb[1]=pb[0]; pE[1]=pE[0]; pR[1]=pR[0];
    ls[1]=ls[0]; ch[1]=ch[0]; cr[1]=cr[0]; q[1]=q[0] }
#endif

  /* revocations */
  :: atomic { if EACHD(g_noise) fi; d_step {
    printf("another entry at database %d: %d\n", d, hd[d]+1);
    hd[d]++; K(d,hd[d]) = NOISE; O(d,hd[d]) = d+1; nn--; d = 0 } }
  :: atomic { if EACHD(g_revoke) fi; d_step { a_revoke() } }
#if ND > 1 && !defined(JOURNAL_LAST)
#ifdef NO_CLAIM
#define HELD(d) true
#else
#define HELD(d) (jc == (d))
#endif
  :: d_step { wk != 0 && ws == 0 && HELD(wd) -> ws = 1; if :: wk == END -> jE = 1 :: else -> jR = 1 fi }
#endif
  :: atomic { if EACHD(g_look) fi; d_step { a_look() } }
  :: d_step { wk != 0 && ws == 2 -> a_tell() }
  :: d_step { wk != 0 -> printf("who waits dies\n"); FORGET }

#if ND > 1
#ifdef AUTH
#define g_holds(d) (st[d] == 3 && jc == (d) && au[d] < A)
  :: atomic { if EACHD(g_holds) fi; d_step { au[d] = A; d = 0 } }
#endif
  /* restores: copy, close, append the journal, open; each a step of its own and in any order that the rules allow */
  :: atomic { nd < ND && SOMED(g_source) -> if EACHD(g_source) fi; SOMEX(d); d_step {
#ifdef NO_EPOCH
    ep[nd] = ep[d];
#else
#ifdef COUNTED_EPOCH
    ep[nd] = ep[d] + 1;
#else
    ep[nd] = nd + 1;
#endif
#endif
    printf("database %d is a copy of %d up to entry %d, epoch %d\n", nd, d, x, ep[nd]);
    a_copy(); st[nd] = 1; nd++; d = 0 } }
  :: atomic { if EACHD(g_close) fi; d_step { printf("database %d is closed\n", d); st[d] = 4; forgetrows(); d = 0 } }
  :: atomic { if EACHD(g_copied) fi; d_step { a_journal() } }
  :: atomic { if EACHD(g_ready) fi; d_step { a_open() } }
#ifdef ZOMBIE
  :: atomic { if EACHD(g_closed) fi; d_step { printf("database %d is started again\n", d); st[d] = 3; d = 0 } }
#endif
#ifdef FAILOVER
  /* a standby that has every commit takes over; the old primary lives on but cannot commit */
  :: atomic { nd < ND && SOMED(g_open) -> if EACHD(g_open) fi; x = hd[d]; d_step {
    printf("database %d takes over from %d\n", nd, d);
    ep[nd] = ep[d]; hold[nd] = hold[d];
    p = 0; do :: p < NP -> ra[nd*NP+p] = ra[d*NP+p]; rt[nd*NP+p] = rt[d*NP+p]; p++ :: else -> break od; p = 0;
    a_copy(); st[nd] = 3; if :: jc == d -> jc = nd :: else fi;
    if :: wk && wd == d -> wd = nd :: else fi; nd++; st[d] = 4; forgetrows(); d = 0 } }
#endif
#ifdef SILENT
  /* the database goes back and nobody says so */
  :: atomic { nd < ND && SOMED(g_open) -> if EACHD(g_open) fi; SOMEX(d); d_step {
    f = 0;
#ifdef SERVER_RUN       /* a node holds the log against the journal before it gives anything over a new connection */
    inlog(d, END, x, j); f = jE && !j;
    inlog(d, RIGHT, x, j); f = f || (jR && !j); j = 0;
#endif
    if
    :: !f -> printf("database %d is %d gone back to entry %d\n", nd, d, x);
       ep[nd] = ep[d]; a_copy(); st[nd] = 3; if :: jc == d -> jc = nd :: else fi;
#ifdef SERVER_RUN       /* and it is another run of the server: nothing is answered early for one lease */
       hold[nd] = LM;
#endif
       nd++; st[d] = 4; forgetrows()
    :: else -> x = 0
    fi; d = 0; f = 0 } }
#endif
#endif

#ifdef PROGRESS
  /* from here on nothing fails: the answer comes in time, and every Proxy serves again */
  :: d_step {
    dd = ND; d = 0; do :: d < ND -> if :: OPEN(d) -> dd = d :: else fi; d++ :: else -> break od; d = 0;
#if ND > 1
    if
    :: dd == ND ->
       d = 0; do :: d < ND -> if :: st[d] == 1 || st[d] == 2 -> dd = d :: else fi; d++ :: else -> break od; d = 0;
       if :: dd < ND -> d = dd; if :: st[d] <= 2 -> st[d] = 1; a_journal() :: else fi; d = dd; if :: st[d] == 2 -> a_open() :: else -> dd = ND fi; d = 0 :: else fi
    :: else
    fi;
#endif
    if
    :: dd < ND ->
       h0 = hold[dd]; tt = 0; f = 0;
       do
       :: tt <= LM + 1 ->
          if :: wk && ws < 2 && (ep[dd] != ep[wd] || hd[dd] < wi) -> FORGET
             :: wk && ws < 2 && ep[dd] == ep[wd] && hd[dd] >= wi -> if :: O(dd,wi) != O(wd,wi) -> FORGET :: else fi
             :: else fi;
          if :: wk == 0 -> d = dd; a_revoke() :: else fi;
          if :: wk == 0 -> break :: else fi;    /* the log is full: a bound of the model */
#if ND > 1
          if :: ws == 0 && jc == wd -> ws = 1 :: else fi;
#endif
          rr = 0;
          do
          :: rr < ROUNDS ->
             pp = 0;
             do
             :: pp < NP*NB ->
                b = pp;
                if :: bs[b] == 0 -> a_send() :: bs[b] == 1 -> d = dd; a_record() :: bs[b] == 2 -> a_deliver() fi;
                pp++
             :: else -> break
             od;
             pp = 0;
             do
             :: pp < NP ->
                p = pp;
                if :: gs[p] -> a_grant() :: gs[p] == 0 && ch[p] == 2 -> d = dd; x = hd[d]; a_ask() :: else fi;
                p = 0; pp++
             :: else -> break
             od; pp = 0; rr++
          :: else -> break
          od; rr = 0; b = 0; d = 0;
          if :: ws == 1 -> d = dd; a_look() :: else fi;
          if :: ws == 2 -> break :: else fi;
          a_tick(); tt++
       :: else -> break
       od;
       assert(wk == 0 || ws == 2);
       assert(wk == 0 || tt <= h0);  /* as soon as the hold is over */
       pp = 0; do :: pp < NP -> assert(wk == 0 || (ls[pp] > 0 && !fr[pp] && pe[pp] == ep[dd])); pp++ :: else -> break od
    :: else
    fi;
    /* all zero: one state for all */
    pp = 0; dd = 0; tt = 0; h0 = 0; f = 0; FORGET; jE = 0; jR = 0; ackE = 0; ackR = 0; nn = 0; nd = 0;
#if ND > 1
    jc = 0;
#endif
    j = 0; do :: j < NP -> startanew(j); gs[j] = 0; gd[j] = 0; ga[j] = 0; gr[j] = 0; j++ :: else -> break od;
    j = 0; do :: j < NP*NB -> clearb(j); j++ :: else -> break od;
    j = 0; do :: j < ND -> st[j] = 0; ep[j] = 0; hd[j] = 0; hold[j] = 0; j++ :: else -> break od;
    j = 0; do :: j < ND*ME -> kd[j] = 0; og[j] = 0; j++ :: else -> break od;
    j = 0; do :: j < ND*NP -> ra[j] = 0; rt[j] = 0; j++ :: else -> break od;
#if NB > 1
    j = 0; do :: j < NP -> lastb[j] = 0; j++ :: else -> break od;
#endif
    j = 0 } -> break
#endif
  od
}
