import type { Search } from './search.ts';

/** One Proxy, one restore, nothing but the revocation: the smallest that has both a log and another one. */
const TINY = ['L=1', 'ND=2', 'NP=1', 'NN=0', 'ME=1'];
/** The same with an entry that hits nobody. */
const NOISY = ['L=1', 'ND=2', 'NP=1', 'NN=1', 'ME=1'];
/** One Proxy, no restore, a longer lease. */
const UNRESTORED = ['L=2', 'ND=1', 'NP=1', 'NN=0', 'ME=1'];
/** Two Proxy processes, no restore. */
const PAIR = ['L=1', 'ND=1', 'NP=2', 'NN=0', 'ME=1'];
/** The database goes back, and nobody says so; each run of its server is known, and every message carries a hash of the log. */
const BACK = ['L=1', 'ND=2', 'NP=1', 'NN=1', 'ME=1', 'SILENT', 'SERVER_RUN', 'CHAIN', 'CHAIN_ALL'];
/** Two restores. */
const TWICE = ['L=1', 'ND=3', 'NP=1', 'NN=0', 'ME=1'];

type Row = Omit<Search, 'expect' | 'size'> & Partial<Pick<Search, 'size'>>;

/** The design within growing bounds. All of them must hold. */
const DESIGN: readonly Row[] = [
  { name: 'tiny', shows: '1 Proxy, 1 restore, 1 entry, lease 1', defines: TINY, size: 'seconds' },
  {
    name: 'restore',
    shows: '1 Proxy, 1 restore, 2 entries, lease 2, chain',
    defines: ['L=2', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'CHAIN'],
  },
  {
    name: 'rights',
    shows: 'the same without chain; the revocation takes a right',
    defines: ['L=2', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'RIGHTS'],
  },
  {
    name: 'drift',
    shows: 'the same, ends the subject; clocks one tick apart, margin 1',
    defines: ['L=2', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'D=1', 'M=1'],
  },
  {
    name: 'failover',
    shows: '1 Proxy that may die, restore or failover, stale reads of grants, 2 entries, lease 1, chain',
    defines: ['L=1', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'CRASH', 'FAILOVER', 'STALE_READ', 'CHAIN'],
  },
  {
    name: 'late beats',
    shows: '1 Proxy that may die, two beats in flight, 1 restore, 1 entry, lease 1',
    defines: [...TINY, 'NB=2', 'CRASH'],
  },
  {
    name: 'two proxies',
    shows: '2 Proxies, no restore, 2 entries, lease 1',
    defines: ['L=1', 'ND=1', 'NP=2', 'NN=1', 'ME=2'],
  },
  {
    name: 'three entries',
    shows: '1 Proxy, 1 restore, 3 entries, a right, lease 1, chain',
    defines: ['L=1', 'ND=2', 'NP=1', 'NN=2', 'ME=3', 'RIGHTS', 'CHAIN'],
    kept: 'compact',
    size: 'long',
  },
  {
    name: 'two restores',
    shows: '1 Proxy, 2 restores in any order and overlap, 2 entries, lease 1',
    defines: ['L=1', 'ND=3', 'NP=1', 'NN=1', 'ME=2'],
    size: 'long',
  },
  {
    name: 'two proxies and a restore',
    shows: '2 Proxies, 1 restore, 1 entry, lease 1',
    defines: ['L=1', 'ND=2', 'NP=2', 'NN=0', 'ME=1'],
    size: 'long',
  },
  {
    name: 'authority',
    shows: 'authority, nothing fenced, closed databases started again: 1 restore, 2 entries, lease 1',
    defines: ['L=1', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'AUTH', 'NO_FENCE', 'ZOMBIE'],
    kept: 'compact',
  },
  {
    name: 'authority and two restores',
    shows: 'authority, nothing fenced: 2 restores, 1 entry, lease 1',
    defines: [...TWICE, 'AUTH', 'NO_FENCE'],
    kept: 'compact',
    size: 'long',
  },
  {
    name: 'gone back',
    shows: '1 Proxy, the database goes back unsaid: a hold for each run of its server, hashes everywhere; lease 1',
    defines: BACK,
    size: 'seconds',
  },
  {
    name: 'gone back by more',
    shows: 'the same: up to 2 entries are lost, of which 2 hit nobody',
    defines: [...BACK, 'ME=2', 'NN=2'],
    kept: 'compact',
  },
  {
    name: 'gone back, rights',
    shows: 'the same, 2 entries; the revocation takes a right',
    defines: [...BACK, 'RIGHTS', 'ME=2'],
    kept: 'compact',
  },
  {
    name: 'gone back, late beats',
    shows: 'the same, 1 entry: the Proxy may die, two beats in flight',
    defines: [...BACK, 'CRASH', 'NB=2'],
    kept: 'compact',
  },
  {
    name: 'gone back beside a restore',
    shows: 'the same with a restore before, behind or beside it',
    defines: [...BACK, 'ND=3'],
    kept: 'compact',
  },
  {
    name: 'progress',
    shows: 'progress: 1 Proxy that may die, 1 restore, 2 entries, lease 2',
    defines: ['L=2', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'CRASH', 'PROGRESS'],
  },
  {
    name: 'progress of rights',
    shows: 'progress: the same with a right, without deaths',
    defines: ['L=2', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'RIGHTS', 'PROGRESS'],
  },
  {
    name: 'progress after two restores',
    shows: 'progress: 1 Proxy, 2 restores, 1 entry, lease 1',
    defines: [...TWICE, 'PROGRESS'],
  },
  {
    name: 'progress of two proxies',
    shows: 'progress: 2 Proxies, no restore, 2 entries, lease 1',
    defines: ['L=1', 'ND=1', 'NP=2', 'NN=1', 'ME=2', 'PROGRESS'],
  },
];

/** What is taken away or added, and must break. */
const BREAKS: readonly Row[] = [
  {
    name: 'somebody is told',
    shows: 'the search gets as far as an acknowledgement',
    defines: [...TINY, 'NOBODY_TOLD'],
    size: 'seconds',
  },
  {
    name: 'no calm',
    shows: 'progress needs its rounds of calm, so it says something',
    defines: [...TINY, 'PROGRESS', 'ROUNDS=2'],
    size: 'seconds',
  },
  { name: 'first rules', shows: 'all corrections off: two processes of one name', defines: [...PAIR, 'FIRST_RULES'] },
  { name: 'first rules, restored', shows: 'all corrections off: a restore', defines: [...NOISY, 'FIRST_RULES'] },
  {
    name: 'first rules, rights',
    shows: 'all corrections off: a right is taken',
    defines: [...UNRESTORED, 'RIGHTS', 'FIRST_RULES'],
  },
  {
    name: 'no instance',
    shows: 'lease rows by name: the twin hides that the other has seen nothing',
    defines: [...PAIR, 'NO_INSTANCE'],
    size: 'seconds',
  },
  { name: 'clone', shows: 'a copy of a running process has its instance', defines: [...PAIR, 'CLONE'] },
  { name: 'no epoch', shows: 'a number of the log alone', defines: [...NOISY, 'NO_EPOCH'] },
  {
    name: 'no epoch, quick grants',
    shows: 'the same when no grant is under way during the restore: skipped as seen already',
    defines: [...NOISY, 'NO_EPOCH', 'QUICK_GRANTS'],
    size: 'seconds',
  },
  { name: 'no epoch in beats', shows: 'beats do not name the epoch', defines: [...NOISY, 'NO_EPOCH_BEAT'] },
  {
    name: 'no epoch in grants',
    shows: 'a grant of the old log counts in the new one',
    defines: [...NOISY, 'NO_EPOCH_GRANT'],
  },
  { name: 'chain alone', shows: 'hashes of the chain instead of epochs', defines: [...NOISY, 'NO_EPOCH', 'CHAIN'] },
  {
    name: 'counted epoch',
    shows: 'epochs counted up: two restores of one backup get the same',
    defines: ['L=1', 'ND=3', 'NP=1', 'NN=1', 'ME=1', 'COUNTED_EPOCH'],
  },
  {
    name: 'late answers',
    shows: 'answers count for which nobody waits',
    defines: ['L=1', 'ND=2', 'NP=1', 'NN=1', 'ME=2', 'NB=2', 'LATE_ANSWERS'],
    first: 'depth',
  },
  {
    name: 'no check',
    shows: 'who waits does not look for its entry, without a claim',
    defines: [...TINY, 'NO_CLAIM', 'NO_CHECK'],
  },
  { name: 'no hold', shows: 'a new epoch answers at once', defines: [...TINY, 'NO_HOLD'], size: 'seconds' },
  { name: 'no fence', shows: 'a restored database opens beside the old one', defines: [...TINY, 'NO_FENCE'] },
  { name: 'zombie', shows: 'a closed database is started again', defines: [...TINY, 'ZOMBIE'] },
  {
    name: 'authority without claim',
    shows: 'nodes give leases by authority, but the journal takes entries of anybody',
    defines: [...TINY, 'NO_FENCE', 'AUTH', 'NO_CLAIM'],
  },
  {
    name: 'no journal',
    shows: 'the backup knows nothing of the revocation',
    defines: [...TINY, 'NO_JOURNAL'],
    size: 'seconds',
  },
  { name: 'journal last', shows: 'journal written after the look', defines: [...TINY, 'JOURNAL_LAST'] },
  {
    name: 'early journal',
    shows: 'journal read before the others are closed, without a claim',
    defines: [...TINY, 'NO_CLAIM', 'EARLY_JOURNAL'],
  },
  { name: 'no claim', shows: 'two restores are prepared at once', defines: [...TWICE, 'NO_CLAIM'] },
  { name: 'silent', shows: 'the database goes back and nobody says so', defines: [...TINY, 'SILENT'] },
  { name: 'silent with chain', shows: 'the same with hashes of the chain', defines: [...TINY, 'SILENT', 'CHAIN'] },
  {
    name: 'gone back, no hashes',
    shows: 'the same with a hold for the run of the server, but without hashes',
    defines: BACK.filter((one) => !one.startsWith('CHAIN')),
    size: 'seconds',
  },
  {
    name: 'gone back, late grant',
    shows: 'the same with hashes in beats and pushes only: a grant of the log that went back counts',
    defines: BACK.filter((one) => one !== 'CHAIN_ALL'),
    size: 'seconds',
  },
  {
    name: 'gone back, grant ahead',
    shows: 'the same, up to 2 entries are lost: a grant counts that was read behind what the Proxy has seen',
    defines: [...BACK, 'ME=2', 'NN=2', 'NO_AHEAD'],
    kept: 'compact',
  },
  { name: 'read lease', shows: 'a lease without a write', defines: [...TINY, 'FAILOVER', 'READ_LEASE'] },
  { name: 'stale look', shows: 'leases looked at on an old primary', defines: [...TINY, 'FAILOVER', 'STALE_LOOK'] },
  { name: 'no margin', shows: 'clocks one tick apart and no margin', defines: [...UNRESTORED, 'D=1', 'M=0'] },
  {
    name: 'no last look',
    shows: 'rights are not looked at before the backend',
    defines: [...UNRESTORED, 'RIGHTS', 'NO_LASTLOOK'],
    size: 'seconds',
  },
  {
    name: 'lease without done',
    shows: 'a lease only when all is in force, but rows say what was seen',
    defines: [...UNRESTORED, 'RIGHTS', 'NO_LASTLOOK', 'LEASE_DONE', 'NO_DONE'],
  },
  {
    name: 'claimed',
    shows: 'entries held against what the device claims',
    defines: [...UNRESTORED, 'CLAIMED'],
    size: 'seconds',
  },
];

/** What is taken away or added, and must still hold: something else stands for it. */
const HOLDS: readonly Row[] = [
  {
    name: 'no check with claim',
    shows: 'who waits does not look for its entry; the claim stands for it',
    defines: [...TINY, 'NO_CHECK'],
  },
  {
    name: 'early journal with claim',
    shows: 'journal read early; the claim stands for it',
    defines: [...TINY, 'EARLY_JOURNAL'],
  },
  {
    name: 'authority instead of fence',
    shows: 'nothing fenced; authority stands for it',
    defines: [...TINY, 'NO_FENCE', 'ZOMBIE', 'AUTH'],
  },
  { name: 'failover alone', shows: 'a standby with all commits takes over', defines: [...TINY, 'FAILOVER'] },
  { name: 'stale grants', shows: 'grants read from an old primary', defines: [...TINY, 'FAILOVER', 'STALE_READ'] },
  { name: 'margin', shows: 'clocks one tick apart, margin 1', defines: [...UNRESTORED, 'D=1', 'M=1'] },
  {
    name: 'done without last look',
    shows: 'a lease only when all is in force',
    defines: [...UNRESTORED, 'RIGHTS', 'NO_LASTLOOK', 'LEASE_DONE'],
  },
  {
    name: 'last look without done',
    shows: 'rows say what was seen; the last look stands for it',
    defines: [...UNRESTORED, 'RIGHTS', 'NO_DONE'],
  },
  { name: 'deaths', shows: 'Proxy processes die and begin again', defines: [...TINY, 'CRASH'] },
];

/** Every search, in the order of the report. */
export const SEARCHES: readonly Search[] = [
  ...DESIGN.map((row): Search => ({ size: 'minutes', ...row, expect: 'holds' })),
  ...BREAKS.map((row): Search => ({ size: 'minutes', first: 'breadth', ...row, expect: 'breaks' })),
  ...HOLDS.map((row): Search => ({ size: 'minutes', ...row, expect: 'holds' })),
];
