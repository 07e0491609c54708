import { type AccessContext, disableUser, enrol, issueCode, putUser } from '@sallyport/access';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { BY, realmOn } from '../../access/test/scene.ts';
import { startDatabase } from './real-postgres.ts';

const { server, store } = await startDatabase();
const client = new pg.Client(server.address);
await client.connect();
afterAll(() => client.end());

async function realm(name: string): Promise<AccessContext> {
  const access = await realmOn(store.in(name));
  await putUser(access, 'ada', { password: 'pw' }, BY);
  return access;
}

/** The same realm for somebody whose transactions have done everything and commit once they may. */
function hesitant(access: AccessContext): { slow: AccessContext; ready: Promise<void>; go: () => void } {
  const ready = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const slow: AccessContext['store'] = {
    realm: access.store.realm,
    transaction: (work) =>
      access.store.transaction(async (transaction) => {
        const result = await work(transaction);
        ready.resolve();
        await go.promise;
        return result;
      }),
  };
  return { slow: { ...access, store: slow }, ready: ready.promise, go: go.resolve };
}

async function somebodyWaits(): Promise<boolean> {
  const { rows } = await client.query(`select 1 from pg_stat_activity where wait_event_type = 'Lock'`);
  return rows.length > 0;
}

const WAYS = [
  ['an enrolment', async (access: AccessContext, code: string) => void (await enrol(access, requestWith(code)))],
  ['a new activation code', async (access: AccessContext) => void (await issueCode(access, 'ada', undefined, BY))],
] as const;

function requestWith(code: string) {
  const keys = { deviceStatic: new Uint8Array(32), signingKey: { kty: 'EC' }, sharedKey: new Uint8Array(32) as never };
  const verify = async () => ({ fit: true, why: '' });
  return { code, user: 'ada', verify, ...keys, app: 'a@1', model: 'm' };
}

test.each(WAYS)('%s that commits while its user is disabled leaves no way in', async (name, open) => {
  const access = await realm(name);
  const { id } = await issueCode(access, 'ada', undefined, BY);
  const { slow, ready, go } = hesitant(access);
  const opening = open(slow, id);
  await ready;
  const disabling = disableUser(access, 'ada', 'request-1', BY);
  await expect.poll(somebodyWaits).toBe(true);
  go();
  await Promise.all([opening, disabling]);
  const left = await access.store.transaction(async ({ tables }) => ({
    codes: await tables.codes.list(),
    installations: (await tables.installations.list()).filter(({ status }) => status !== 'revoked'),
  }));
  expect(left).toEqual({ codes: [], installations: [] });
});

test('nobody enrols once their user is disabled, also with a code that came through', async () => {
  const access = await realm('late');
  const { id } = await issueCode(access, 'ada', undefined, BY);
  const [code] = await access.store.transaction(({ tables }) => tables.codes.list());
  await disableUser(access, 'ada', 'request-1', BY);
  await access.store.transaction(({ tables }) => tables.codes.insert(code!));
  expect(await enrol(access, requestWith(id))).toEqual({ status: 'refused', code: 'CODE_INVALID' });
});
