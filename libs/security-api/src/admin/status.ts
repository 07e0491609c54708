import Type, { type Static } from 'typebox';
import { CLOSED, OptionalTime, Time } from '../fields.ts';
import { Text } from '../text.ts';
import { operations } from './operation.ts';
import { SubjectQuery } from './paging.ts';
import { Done, NodeParam } from './params.ts';
import { ProxyView } from './proxies.ts';
import { Waiting } from './revocations.ts';

/** A Security node, as the asked node sees it. */
export const NodeView = Type.Object(
  {
    id: Type.String(),
    state: Type.Union([Type.Literal('up'), Type.Literal('draining'), Type.Literal('silent')]),
    version: Type.String(),
    proxyUrl: Type.String(),
    adminUrl: Type.String(),
    startedAt: Time(),
    silentMs: Type.Integer({ description: 'ms since its last sign of life' }),
    clockOffsetMs: Type.Integer({ description: "its wall clock less the database's, ms" }),
  },
  { ...CLOSED, $id: 'Node' },
);
export type NodeView = Static<typeof NodeView>;

/** A server of the database, as the primary sees it. */
export const DatabaseView = Type.Object(
  {
    name: Type.String(),
    role: Type.Union([Type.Literal('primary'), Type.Literal('standby')]),
    sync: Type.String({
      description: 'how a commit waits for it: quorum, sync, potential or async; empty for the primary',
    }),
    state: Type.String(),
    address: Type.String({
      description:
        'of the primary its own, of a standby that from which it follows; empty where the database does not say',
    }),
    lagBytes: Type.Integer({ description: 'what it has not written yet of what the primary has, in bytes' }),
    lagMs: Type.Integer({ description: 'the same in ms' }),
  },
  { ...CLOSED, $id: 'DatabaseServer' },
);
export type DatabaseView = Static<typeof DatabaseView>;

/** The archive of the database's log of changes, as the primary sees it. */
const ArchiveView = Type.Object(
  {
    takenAt: Time('when it took the newest segment, 0 for never'),
    failingSince: Time('since when it takes nothing, 0 while it does'),
  },
  { ...CLOSED, $id: 'Archive' },
);

/** The bus between nodes. */
const BusView = Type.Object(
  {
    kind: Type.Union([Type.Literal('in-process'), Type.Literal('redis')]),
    connected: Type.Boolean(),
    server: Type.String(),
  },
  { ...CLOSED, $id: 'Bus' },
);

/** Where revocations are kept outside of the database, as the node that answers has last seen it. */
export const JournalView = Type.Object(
  {
    place: Type.String({ description: 'in words: a folder, or the servers of a PostgreSQL' }),
    claimedBy: Type.Optional(
      Type.String({
        description: 'the epoch that may write to it; absent before the first claim, and while it was never reached',
      }),
    ),
    ours: Type.Boolean({
      description:
        'true when that is the epoch of this database: a revocation that the journal does not take is not in force',
    }),
    silentMs: Type.Optional(Type.Integer({ description: 'ms since it last answered; absent when it never did' })),
    written: Type.Integer({ description: 'last entry of this epoch that it holds, with all before it' }),
  },
  { ...CLOSED, $id: 'Journal' },
);
export type JournalView = Static<typeof JournalView>;

/** A copy of the revocation log at a target of backups, as the node that answers has last seen it. */
export const CopyView = Type.Object(
  {
    place: Type.String({ description: 'the target, in words' }),
    written: Type.Integer({ description: 'last entry of this epoch that it holds, with all before it' }),
    behindMs: Type.Integer({ description: 'since when it lacks what the journal has, ms; 0 when it lacks nothing' }),
    trouble: Type.Optional(Type.String({ description: 'why the last try failed' })),
  },
  { ...CLOSED, $id: 'JournalCopy' },
);
export type CopyView = Static<typeof CopyView>;

/** A place where backups go, as it was last seen. */
export const BackupTargetView = Type.Object(
  {
    place: Type.String({ description: 'where it is, in words' }),
    triedAt: OptionalTime('when a backup was last begun here'),
    dueAt: Time('when the next one is due'),
    node: Type.String({ description: 'the node that works on it at the moment; empty for none' }),
    lookedAt: OptionalTime('when it was last looked at'),
    newest: Type.Union([Type.Object({ name: Type.String(), takenAt: Time() }, CLOSED), Type.Null()], {
      description: 'the newest backup there',
    }),
    verified: Type.Union(
      [Type.Object({ name: Type.String(), takenAt: Time(), verifiedAt: Time() }, CLOSED), Type.Null()],
      { description: 'the newest one that somebody restored elsewhere, by a receipt' },
    ),
    backups: Type.Integer({ description: 'how many are there' }),
    trouble: Type.Union([
      Type.Object({ code: Type.String(), words: Type.String(), since: Time() }, CLOSED),
      Type.Null(),
    ]),
  },
  { ...CLOSED, $id: 'BackupTarget' },
);
export type BackupTargetView = Static<typeof BackupTargetView>;

/** Backups of the realm, as they are set up at the node that answers. */
export const BackupView = Type.Object(
  {
    everyMs: Type.Integer({ description: 'how often one is made' }),
    keep: Type.String({ description: 'which ones are kept' }),
    verified: Type.Union(
      [
        Type.Object({ place: Type.String(), name: Type.String(), takenAt: Time(), verifiedAt: Time() }, CLOSED),
        Type.Null(),
      ],
      {
        description: 'the newest verified one, at whichever target; only a verified one counts',
      },
    ),
    verifiedAgeMs: Type.Union([Type.Integer(), Type.Null()], { description: 'how old that is' }),
    targets: Type.Array(BackupTargetView),
  },
  { ...CLOSED, $id: 'Backup' },
);
export type BackupView = Static<typeof BackupView>;

/** The life of the revocation log, and what is waited for in it. */
export const LogView = Type.Object(
  {
    epoch: Type.String({ description: 'one uninterrupted life of the log; a restore draws another one' }),
    supersedes: Type.Array(Type.String(), { description: 'epochs that it takes the place of' }),
    generation: Type.Integer({ description: 'counts up with each revocation of everything' }),
    holdMs: Type.Integer({
      description:
        'ms until leases from before a restore, or a start of the database server, are over: nothing is in force sooner. 0 for no hold',
    }),
    heldAfter: Type.Optional(
      Type.Union([Type.Literal('restore'), Type.Literal('serverRun')], { description: 'what there is a hold for' }),
    ),
    longestLeaseMs: Type.Integer(),
    waitingFor: Type.Array(Waiting, {
      description: 'processes of Proxies that may serve without having the newest entry in force',
    }),
    journal: Type.Optional(JournalView),
    copies: Type.Array(CopyView, {
      description:
        'copies at the targets of backups: nothing waits for them, they are a net should the journal be lost',
    }),
  },
  { ...CLOSED, $id: 'Log' },
);
export type LogView = Static<typeof LogView>;

/** What is kept of the realm beside its database and its backups. */
export const SafeguardView = Type.Object(
  {
    kind: Type.Union([Type.Literal('standby'), Type.Literal('copy'), Type.Literal('archive')]),
    name: Type.String(),
    goodAt: Time('when it was last seen to follow, was made, or was restored by somebody to look at it'),
    upTo: Time('how far it came then'),
    missed: Type.Boolean({ description: 'whether that is too long ago' }),
  },
  { ...CLOSED, $id: 'Safeguard' },
);
export type SafeguardView = Static<typeof SafeguardView>;

const UpdateEnd = Type.Object({ version: Type.Integer(), endsAt: Time() }, CLOSED);

/** When signed metadata of updates ends that only persons can sign anew; absent for a realm without updates. */
const UpdateEndsView = Type.Object(
  {
    root: UpdateEnd,
    targets: Type.Union([UpdateEnd, Type.Null()], { description: 'null while no release was ever signed' }),
  },
  { ...CLOSED, $id: 'UpdateEnds' },
);

/** What runs, computed from live answers. */
export const StatusView = Type.Object(
  {
    realm: Type.String(),
    version: Type.String(),
    database: Type.String(),
    databaseServers: Type.Array(DatabaseView),
    archive: Type.Optional(ArchiveView),
    bus: BusView,
    node: Type.String({ description: 'the node that answers' }),
    nodes: Type.Array(NodeView),
    degraded: Type.Array(Type.String(), {
      description: 'what works worse than it could, in words; empty when everything is well',
    }),
    leaseMs: Type.Integer(),
    startedAt: Time(),
    head: Type.Integer(),
    log: LogView,
    backup: Type.Optional(BackupView),
    safeguards: Type.Array(SafeguardView, {
      description: 'standbys, copies and the archive, as far as they are known',
    }),
    liveSessions: Type.Integer(),
    installations: Type.Integer({ description: 'those that are not revoked' }),
    users: Type.Integer(),
    countedAt: Time(
      'when sessions, installations and users were counted: a moment ago, or earlier where counting takes long',
    ),
    certificates: Type.Object(
      {
        count: Type.Integer(),
        firstEnd: Type.Union(
          [Type.Object({ id: Type.String(), endsAt: Time(), daysLeft: Type.Integer() }, CLOSED), Type.Null()],
          { description: 'which ends first of those that are not renewed by themselves' },
        ),
      },
      CLOSED,
    ),
    updates: Type.Optional(UpdateEndsView),
    proxies: Type.Array(ProxyView),
    audit: Type.Object(
      { events: Type.Integer(), verified: Type.Integer(), intact: Type.Boolean() },
      {
        ...CLOSED,
        description: 'events so far, up to which one this node has checked the chain, and whether all of that fits',
      },
    ),
  },
  { ...CLOSED, $id: 'Status' },
);
export type StatusView = Static<typeof StatusView>;

/** What runs. */
export const status = operations('status', {
  get: { method: 'GET', path: '/v1/status', about: 'What runs, computed from live answers', answer: StatusView },
});

/** Security nodes. */
export const nodes = operations('nodes', {
  list: {
    method: 'GET',
    path: '/v1/nodes',
    about: 'Security nodes by id, as this one sees them, a page',
    cursor: 'id',
    query: SubjectQuery,
    answer: Type.Array(NodeView),
  },
  remove: {
    method: 'DELETE',
    path: '/v1/nodes/:id',
    about: 'Forget a Security node that will not come back',
    reason: true,
    params: NodeParam,
    answer: Done,
    errors: ['ERR_ACCESS_CONFLICT'],
  },
});

/** Where the logs of a realm ended in what was restored from its archive. */
const ArchiveReceipt = Type.Object(
  {
    realm: Type.String({ minLength: 1, maxLength: 64 }),
    epoch: Type.String({ pattern: '^[0-9a-f]{32}$', description: '32 hex digits' }),
    log: Type.Object(
      {
        head: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
        hash: Type.String({ pattern: '^([0-9a-f]{64})?$', description: '64 hex digits, or none for an empty log' }),
      },
      CLOSED,
    ),
    audit: Type.Object(
      {
        seq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
        hash: Type.String({ pattern: '^[0-9a-f]{64}$', description: '64 hex digits' }),
      },
      CLOSED,
    ),
  },
  { ...CLOSED, $id: 'ArchiveReceipt' },
);

/** What is kept of the realm beside its database and its backups. */
export const safeguards = operations('safeguards', {
  prove: {
    method: 'POST',
    path: '/v1/safeguards/archive',
    about: 'Put on record that somebody has restored the archive, and how far it came',
    reason: true,
    body: ArchiveReceipt,
    answer: Done,
    errors: ['ERR_ACCESS_INVALID'],
  },
  forget: {
    method: 'DELETE',
    path: '/v1/safeguards/:kind/:name',
    about: 'Forget a standby, a copy or an archive that will not come back: nobody misses it any more',
    reason: true,
    params: Type.Object(
      {
        kind: Type.Union([Type.Literal('standby'), Type.Literal('copy'), Type.Literal('archive')]),
        name: Text({ minLength: 1, maxLength: 255 }),
      },
      CLOSED,
    ),
    answer: Done,
  },
});
