import { hash, randomBytes } from 'node:crypto';
import { appendRevocation, entriesAfter } from '@sallyport/access';
import { TABLE_NAMES, TABLES } from '@sallyport/access/store';
import { entryHash } from '@sallyport/lease';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { toSnake } from '../src/names.ts';
import { startDatabase } from './real-postgres.ts';

const { server, store } = await startDatabase();
const client = new pg.Client(server.address);
await client.connect();
afterAll(() => client.end());

/** Columns that a later version added, by table: nodes of the version before know nothing of them. */
const ADDED: Readonly<Record<string, readonly string[]>> = {
  proxies: ['key_hash', 'next_key_hash'],
  joinTokens: ['replaces', 'moves_from'],
  codes: ['code_key'],
  keys: ['published_at', 'retired_at'],
  realms: [
    'map_version',
    'epoch',
    'supersedes',
    'closed',
    'held',
    'head_hash',
    'generation',
    'longest_lease_ms',
    'journal',
  ],
  users: ['out_by_operator', 'out_by_directory', 'past_account'],
  identities: ['only_name'],
  directoryGroups: ['only_name'],
  sessions: ['chan_request', 'generation', 'holders'],
  revocations: ['salt', 'hash'],
  auditHeads: ['seal'],
  leases: ['beat', 'lease_ms', 'node', 'requests', 'bytes', 'rtt_ms'],
  resources: ['sites', 'region'],
  policies: ['place'],
  sites: ['lease_ms', 'drained_at'],
  nodes: ['journal', 'known_keys'],
  installations: ['resume_id', 'os'],
  operators: ['origin', 'place', 'invited_by', 'ends_at', 'ended_at', 'end_reason'],
};
const TABLES_ADDED = [
  'nodes',
  'pods',
  'operatorTokens',
  'bindings',
  'keks',
  'kekTurns',
  'kekHolders',
  'escrows',
  'backupTargets',
  'seenCertificates',
  'apps',
  'releases',
  'updateFiles',
  'releaseReports',
  'unnamedPackages',
  'installLinks',
  'channelDevices',
  'publishers',
  'safeguards',
];

const SAMPLE = { text: 'x', int: 1, bool: true, bytes: Buffer.of(1), json: '{}' } as const;

test('a node of the version before goes on writing while the schema is already new', async () => {
  for (const name of TABLE_NAMES.filter((table) => !TABLES_ADDED.includes(table))) {
    const added = [...(ADDED[name] ?? []), 'row_mac'];
    const columns = Object.entries(TABLES[name].columns).filter(([column]) => !added.includes(toSnake(column)));
    const names = ['realm', ...columns.map(([column]) => toSnake(column))].map((column) => `"${column}"`);
    const values = ['old', ...columns.map(([, type]) => SAMPLE[type as keyof typeof SAMPLE])];
    const marks = values.map((_, i) => `$${i + 1}`).join(', ');
    const text = `insert into "${toSnake(name)}" (${names.join(', ')}) values (${marks})`;
    await expect(client.query(text, values), name).resolves.toMatchObject({ rowCount: 1 });
  }
});

test('what a node of the version before appends gets its place in the chain', async () => {
  const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');
  const access = { crypto: { sha256, randomBytes } };
  const realm = store.in('chain');
  await client.query(
    `insert into "realms" ("realm", "id", "head", "policy_version", "not_before", "settings") values ('chain', 'realm', 0, 0, 0, '{}')`,
  );
  const ours = { kind: 'user', subject: 'u', requestId: 'r1' } as const;
  const by = { actor: 'a', reason: 'r', at: 7 };
  await realm.transaction((transaction) => appendRevocation(access, transaction, ours, by));
  await client.query(`insert into "revocations" values ('chain', 2, 'r2', 'app', 'ünicode@1', 'r', 'a', 8)`);
  await client.query(`update "realms" set "head" = 2 where "realm" = 'chain'`);
  await realm.transaction((transaction) => appendRevocation(access, transaction, { ...ours, requestId: 'r3' }, by));
  const entries = await realm.transaction((transaction) => entriesAfter(transaction, 0));
  let previous = '';
  for (const entry of entries) {
    expect(entry.hash).toBe(entryHash(access.crypto, previous, entry));
    previous = entry.hash;
  }
  const row = await realm.transaction(({ tables }) => tables.realms.find({ id: 'realm' }));
  expect(row).toMatchObject({ head: 3, headHash: previous });
});

test('every added column has a default or may be null, so that old statements stay good', async () => {
  const { rows } = await client.query<{ table_name: string; column_name: string }>(
    `select table_name, column_name from information_schema.columns
      where table_schema = 'public' and is_nullable = 'NO' and column_default is null`,
  );
  const demanded = new Set(rows.map(({ table_name, column_name }) => `${table_name}.${column_name}`));
  for (const [table, columns] of Object.entries(ADDED))
    for (const column of columns) expect(demanded).not.toContain(`${table}.${column}`);
});
