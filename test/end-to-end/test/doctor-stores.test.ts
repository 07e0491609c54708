import { spawn } from 'node:child_process';
import {
  type DatabaseWay,
  type Diagnosis,
  examineDatabase,
  examineRedis,
  type RedisWay,
  type WaitLimits,
} from '@sallyport/doctor';
import { freePort, isListening, scratchFolder, waitFor } from '@sallyport/support';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { startDatabase } from '../../../libs/store-sql/test/real-postgres.ts';

const LIMITS: WaitLimits = { connectMs: 60_000, answerMs: 60_000, holdMs: 1, askEveryMs: 1 };
const { server } = await startDatabase();
const { address } = server;
const owner = new pg.Client({ ...address });
await owner.connect();
await owner.query(`create role weak login password 'weak'`);
afterAll(() => owner.end());

const way: DatabaseWay = { from: 'Security', to: 'database', hosts: [address], ...address };
const wrongIn = (found: readonly Diagnosis[]) => found.filter(({ state }) => state === 'failure');

test('the database of a gateway is right for its owner', async () => {
  const found = await examineDatabase(way, LIMITS);
  expect(wrongIn(found)).toEqual([]);
  expect(found.map(({ check }) => check)).toContain('clock');
});

test('a role without rights is named, with the statement that gives them', async () => {
  const found = wrongIn(await examineDatabase({ ...way, user: 'weak', password: 'weak' }, LIMITS));
  expect(found.map(({ words }) => words)).toEqual([
    'the role weak may make no tables',
    expect.stringMatching(/^\d+ tables belong to another role than weak$/),
  ]);
  expect(found[0]!.next).toContain('grant create on schema public to weak');
});

test.each([
  [{ password: 'wrong' }, 'the password of the role is wrong'],
  [{ user: 'nobody', password: 'x' }, 'the password of the role is wrong'],
  [{ database: 'elsewhere' }, 'there is no such database'],
])('%j is named', async (changed, words) => {
  expect(wrongIn(await examineDatabase({ ...way, ...changed }, LIMITS))).toMatchObject([{ check: 'role', words }]);
});

test('settings that lose what was acknowledged are named', async () => {
  await owner.query(`alter role weak set synchronous_commit = 'off'`);
  const found = await examineDatabase({ ...way, user: 'weak', password: 'weak' }, LIMITS);
  expect(wrongIn(found).map(({ words }) => words)).toContain(
    'synchronous_commit is off: what was acknowledged may be lost',
  );
});

const port = await freePort();
const options = ['--port', String(port), '--requirepass', 'right', '--dir', scratchFolder(), '--save', ''];
const redis = spawn('redis-server', options, { stdio: 'ignore' });
afterAll(() => redis.kill('SIGKILL'));
await waitFor(() => isListening(port), 'Redis');
const toRedis: RedisWay = {
  ...{ from: 'Security', mode: 'single', tls: false, password: 'right' },
  servers: [{ host: '127.0.0.1', port }],
};

test('Redis with its password is right, and a wrong one or none is named', async () => {
  expect((await examineRedis(toRedis, LIMITS)).map(({ state }) => state)).toEqual(['ok', 'ok']);
  const { password: _, ...without } = toRedis;
  for (const [one, words] of [
    [{ ...toRedis, password: 'wrong' }, 'the password is wrong'],
    [without, 'it wants a password'],
  ] as const)
    expect(wrongIn(await examineRedis(one, LIMITS))).toMatchObject([{ check: 'password', words, hop: 'Redis' }]);
});
