import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ReauthoriseRequest, RightsAnswer } from '@sallyport/security-api';
import { afterEach, expect, test } from 'vitest';
import { NodeList, SecurityClient } from '../src/index.ts';

const GRANT = {
  ...{ realm: 'main', epoch: 'e'.repeat(32), app: 'app@1', generation: 0, asOf: 1, expiresInMs: 1, refreshInMs: 1 },
  ...{ sessionCreatedAt: 1, userId: 'u', userName: 'ada', groups: [], installationId: 'i', context: {}, resources: [] },
  limits: { openBurst: 1, openRate: 1 },
};
const sidOf = (i: number): string => i.toString(16).padStart(32, '0');
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A Security server that answers for each session what the test says; one of the version before knows no others. */
async function security(answerFor: (sid: string) => object | undefined, { isOld = false } = {}) {
  const asked: (readonly string[])[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      const { sid, others } = JSON.parse(text) as ReauthoriseRequest;
      asked.push([sid, ...(others ?? [])]);
      const first = answerFor(sid);
      if (!first) response.statusCode = 503;
      const answer = { ...first, ...(others && !isOld && { others: others.map(answerFor) }) };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const urls = [`http://127.0.0.1:${(server.address() as AddressInfo).port}`];
  const identity = { name: 'p1', site: 'here', realm: 'main', urls, ca: '', certificate: '', key: '' };
  const client = new SecurityClient(identity, new NodeList(identity));
  client.useInstance(() => '1'.repeat(32));
  ends.push(
    () => client.close(),
    () => server.closeAllConnections(),
    () => server.close(),
  );
  return { client, asked };
}

const granted = (sid: string): RightsAnswer => ({ grant: { ...GRANT, sid } });

/** Which session each answer is of, or what it was instead. */
async function read(client: SecurityClient, sids: readonly string[]): Promise<string[]> {
  const answers = await Promise.allSettled(sids.map((sid) => client.reauthorise(sid)));
  return answers.map((answer) => {
    if (answer.status === 'rejected') return answer.reason.code;
    return typeof answer.value === 'string' ? answer.value : answer.value.grant.sid;
  });
}

test('rights that are read at the same time go together, 64 at the most, and each channel gets its own', async () => {
  const { client, asked } = await security(granted);
  const sids = Array.from({ length: 200 }, (_, i) => sidOf(i));
  expect(await read(client, sids)).toEqual(sids);
  expect(asked.flat().sort()).toEqual(sids);
  expect(asked.map(({ length }) => length).sort((one, other) => one - other)).toEqual([8, 64, 64, 64]);
});

test('what is wrong with one of them touches no other', async () => {
  const other = new Map([
    [sidOf(0), { ended: 'UNAVAILABLE' }],
    [sidOf(1), { ended: 'SESSION_EXPIRED' }],
    [sidOf(3), { ended: 'NO_CHANNEL' }],
  ]);
  const { client, asked } = await security((sid) => other.get(sid) ?? granted(sid));
  const sids = Array.from({ length: 5 }, (_, i) => sidOf(i));
  expect(await read(client, sids)).toEqual(['ERR_SECURITY_REFUSED', 'over', sidOf(2), 'no channel', sidOf(4)]);
  expect(asked).toHaveLength(1);
});

test.each([
  ['the first', 0],
  ['another', 2],
])('an answer that this version does not understand fails its own channel alone, be it %s', async (_what, strange) => {
  const demand = { ...GRANT, sid: sidOf(strange), context: { demandOfTheFuture: true } };
  const { client, asked } = await security((sid) => (sid === sidOf(strange) ? { grant: demand } : granted(sid)));
  const sids = Array.from({ length: 4 }, (_, i) => sidOf(i));
  const said = [...sids];
  said[strange] = 'ERR_SECURITY_ANSWER';
  expect(await read(client, sids)).toEqual(said);
  expect(asked).toHaveLength(1);
});

test('no channel gets what is of another session, in whatever order a node answers', async () => {
  const { client } = await security((sid) => granted(sid === sidOf(1) ? sidOf(2) : sid));
  const sids = Array.from({ length: 4 }, (_, i) => sidOf(i));
  expect(await read(client, sids)).toEqual([sidOf(0), 'ERR_SECURITY_ANSWER', sidOf(2), sidOf(3)]);
});

test('for a channel that is over nobody is asked', async () => {
  const { client, asked } = await security(granted);
  const [over, open] = [true, false].map((isOver) => ({ rank: 0, isOver }) as const);
  const both = Promise.all([client.reauthorise(sidOf(0), over!), client.reauthorise(sidOf(1), open!)]);
  expect((await both)[0]).toBe('no channel');
  expect(await client.reauthorise(sidOf(2), over!)).toBe('no channel');
  expect(asked).toEqual([[sidOf(1)]]);
});

test('a node of the version before is asked for one after the other, and what it cannot answer fails alone', async () => {
  const { client, asked } = await security((sid) => (sid === sidOf(3) ? undefined : granted(sid)), { isOld: true });
  const sids = Array.from({ length: 5 }, (_, i) => sidOf(i));
  expect(await read(client, sids)).toEqual(sids.map((sid) => (sid === sidOf(3) ? 'ERR_SECURITY_REFUSED' : sid)));
  expect(asked.map(({ length }) => length)).toEqual([5, 1, 1, 1, 1]);
});
