import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ReauthoriseAnswer, ReauthoriseRequest, RightsAnswer } from '@sallyport/security-api';
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
async function security(answerFor: (sid: string) => RightsAnswer, { isOld = false } = {}) {
  const asked: (readonly string[])[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      const { sid, others } = JSON.parse(text) as ReauthoriseRequest;
      asked.push([sid, ...(others ?? [])]);
      const answer: ReauthoriseAnswer = {
        ...answerFor(sid),
        ...(others && !isOld && { others: others.map(answerFor) }),
      };
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

test('a node of the version before is asked for one after the other', async () => {
  const { client, asked } = await security(granted, { isOld: true });
  const sids = Array.from({ length: 5 }, (_, i) => sidOf(i));
  expect(await read(client, sids)).toEqual(sids);
  expect(asked.map(({ length }) => length)).toEqual([5, 1, 1, 1, 1]);
});
