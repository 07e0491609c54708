import { type JournalWriter, listAudit, readRealm } from '@sallyport/access';
import { createService } from '@sallyport/http-service';
import { type KeptAnswer, type KeptRevocation, PROXY_PATHS, type ReauthoriseAnswer } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { addProxyApi } from '../../src/routes/proxy-api.ts';
import { siteMapSigner } from '../../src/sign-in/site-map.ts';
import { handshakesOf, type OwnScene, scene } from '../scene.ts';

/** The API for Proxies as `p1` meets it. */
async function proxyApi(own: OwnScene = {}) {
  const { context } = await scene(undefined, own);
  const service = createService({ log: context.log, ready: () => true });
  const proxy = { name: 'p1', keyHash: 'a'.repeat(64), site: 'here' };
  addProxyApi(service, {
    ...context,
    handshakes: handshakesOf(context),
    siteMap: siteMapSigner(context),
    identify: async () => proxy,
  });
  const bring = async (entries: readonly KeptRevocation[]) => {
    const answer = await service.inject({ method: 'POST', url: PROXY_PATHS.kept, payload: { entries } });
    return { status: answer.statusCode, body: answer.json() as KeptAnswer & { code?: string } };
  };
  return { context, service, bring };
}

test('a Proxy is given the site map, also when it names the one that it heard of', async () => {
  const { service } = await proxyApi();
  for (const [query, status] of [
    ['', 200],
    ['?seq=1', 200],
    ['?seq=x', 400],
  ] as const)
    expect((await service.inject({ url: `${PROXY_PATHS.siteMap}${query}` })).statusCode, query).toBe(status);
});

test('a Proxy that renews its certificate again and again is told to wait, before anything is signed or written', async () => {
  const { service } = await proxyApi();
  const codes = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const answer = await service.inject({ method: 'POST', url: PROXY_PATHS.renew, payload: { csr: 'x' } });
    codes.add(answer.json().code);
  }
  expect([...codes]).toEqual(['ERR_SECURITY_CSR', 'ERR_SECURITY_SLOW']);
});

test('a Proxy asks for rights of many channels at once: each has its answer, and each that is none of its own is on record', async () => {
  const { context, service } = await proxyApi();
  const payload = { sid: 'a'.repeat(32), instance: '1'.repeat(32) };
  const ask = async (more: object) => {
    const answer = await service.inject({
      method: 'POST',
      url: PROXY_PATHS.reauthorise,
      payload: { ...payload, ...more },
    });
    return { status: answer.statusCode, body: answer.json() as ReauthoriseAnswer };
  };
  const ended = { ended: 'NO_CHANNEL' };
  expect((await ask({})).body).toEqual(ended);
  expect((await ask({ others: ['b'.repeat(32), 'c'.repeat(32)] })).body).toEqual({ ...ended, others: [ended, ended] });
  expect((await ask({ others: Array.from({ length: 64 }, () => 'b'.repeat(32)) })).status).toBe(400);
  await context.refusals.stop();
  const events = await context.access.store.transaction((transaction) => listAudit(transaction, 9));
  expect(events.filter(({ action }) => action === 'proxy.rights')).not.toEqual([]);
});

const FORGED: KeptRevocation = {
  ...{ epoch: 'e'.repeat(32), index: 1, requestId: 'r', kind: 'user', subject: 'u' },
  ...{ at: 1, hash: 'f'.repeat(64), seal: 'A'.repeat(27) },
};

test('what Security never wrote is refused and on record as the Proxy that brought it', async () => {
  const { context, bring } = await proxyApi();
  const { body } = await bring([FORGED, { ...FORGED, requestId: 's' }]);
  expect(body).toEqual({ appended: 0, refused: 2, foreign: [] });
  await context.refusals.stop();
  const events = await context.access.store.transaction((transaction) => listAudit(transaction, 9));
  const refusals = events.filter(({ action }) => action === 'revoke.again');
  expect(refusals.map(({ subject, outcome }) => [subject, outcome])).toEqual([['p1', 'refused']]);
  const { head } = await readRealm(context.access.store);
  expect(head).toBe(0);
});

test('a Proxy that brings and brings is told to wait, another one is not', async () => {
  const { bring } = await proxyApi();
  const statuses = new Set<number>();
  for (let i = 0; i < 250; i++) statuses.add((await bring([FORGED])).status);
  expect([...statuses]).toEqual([200, 429]);
  expect((await bring([])).status).toBe(400);
});

test('a Proxy hears that it may forget only when the journal has what it brought', async () => {
  const written: number[] = [];
  let fails = true;
  const journal = {
    upTo: async (index: number) => {
      if (fails) throw new Error('no journal');
      written.push(index);
    },
    mayLease: true,
  };
  // Of a journal the route uses no more than this.
  const { context, bring } = await proxyApi({ journal: journal as unknown as JournalWriter });
  expect((await bring([FORGED])).status).toBe(500);
  fails = false;
  expect((await bring([FORGED])).status).toBe(200);
  expect(written).toEqual([(await readRealm(context.access.store)).head]);
});
