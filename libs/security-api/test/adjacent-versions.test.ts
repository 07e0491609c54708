import { expect, test } from 'vitest';
import {
  AuthoriseAnswer,
  AuthoriseRequest,
  Beat,
  ControlMessage,
  Grant,
  JoinAnswer,
  parserOf,
  ReauthoriseRequest,
  RightsAnswer,
} from '../src/index.ts';

const GRANT = {
  realm: 'main',
  sid: 'a'.repeat(32),
  epoch: 'e'.repeat(32),
  app: 'app@1',
  generation: 0,
  asOf: 1,
  expiresInMs: 1,
  refreshInMs: 1,
  sessionCreatedAt: 1,
  userId: 'u',
  userName: 'ada',
  groups: [],
  installationId: 'i',
  context: {},
  resources: [],
  limits: { openBurst: 1, openRate: 1 },
};
const INSTANCE = '1'.repeat(32);
const EPOCH = 'e'.repeat(32);
const HASH = 'f'.repeat(64);
const RULE = { policy: 'p', context: {} };
const RESOURCE = {
  name: 'r',
  kind: 'http',
  authority: 'a.corp',
  backend: { url: 'http://x', networks: [] },
  rules: [RULE],
};

test.each([
  ['a beat', Beat, { type: 'beat', id: 1, instance: INSTANCE, seen: 0, hash: '', done: 0, channels: 0 }],
  [
    'an answer to a beat',
    ControlMessage,
    { type: 'lease', id: 1, epoch: EPOCH, head: 0, headHash: '', entries: [], leaseMs: 1 },
  ],
  ['"begin anew"', ControlMessage, { type: 'anew', id: 1, epoch: EPOCH, supersedes: true }],
  ['a push', ControlMessage, { type: 'push', epoch: EPOCH, after: 0, afterHash: '', entries: [] }],
  ['a HELLO to authorise', AuthoriseRequest, { hello: 'aa', address: '10.0.0.1', request: 'a'.repeat(32) }],
  ['a granted HELLO', AuthoriseAnswer, { grant: GRANT, channelKey: 'aa' }],
  ['rights that are to be read again', ReauthoriseRequest, { sid: 'a'.repeat(32), instance: INSTANCE }],
  ['rights that were read again', RightsAnswer, { grant: GRANT }],
  ['why there are none', RightsAnswer, { ended: 'SESSION_EXPIRED' }],
  ['a certificate', JoinAnswer, { certificate: '', ca: '', realm: '', site: '', name: '' }],
] as const)(
  '%s is understood without the newest fields, and with fields of a later version',
  (_what, schema, value) => {
    const parse = parserOf(schema);
    expect(parse(value)).toBeDefined();
    expect(parse({ ...value, fieldOfTheFuture: { deep: true } })).toBeDefined();
  },
);

test('what narrows rights is never ignored: a demand that this version does not know closes', () => {
  const parse = parserOf(Grant);
  const grantWith = (rule: object) => ({ ...GRANT, resources: [{ ...RESOURCE, rules: [rule] }] });
  expect(parse(grantWith(RULE))).toBeDefined();
  expect(parse(grantWith({ ...RULE, newDemand: 1 }))).toBeUndefined();
  expect(parse(grantWith({ ...RULE, context: { newDemand: 1 } }))).toBeUndefined();
  expect(parse({ ...GRANT, context: { newDemand: true } })).toBeUndefined();
});

test('a revocation of a kind that this version does not know is not skipped: the message is refused', () => {
  const entry = { index: 1, kind: 'user', subject: 'x', at: 0, salt: INSTANCE, hash: HASH };
  const push = (one: object) => ({ type: 'push', epoch: EPOCH, after: 0, afterHash: '', entries: [one] });
  expect(parserOf(ControlMessage)(push(entry))).toBeDefined();
  expect(parserOf(ControlMessage)(push({ ...entry, kind: 'future' }))).toBeUndefined();
});

test('a Proxy from before the epochs and a node of this version give each other nothing: no lease, no grant', () => {
  const oldBeat = { type: 'beat', id: 1, applied: 0, channels: 0, fresh: true };
  expect(parserOf(Beat)(oldBeat)).toBeUndefined();
  const oldLease = { type: 'lease', id: 1, head: 0, entries: [], leaseMs: 1 };
  expect(parserOf(ControlMessage)(oldLease)).toBeUndefined();
  expect(parserOf(ReauthoriseRequest)({ sid: 'a'.repeat(32) })).toBeUndefined();
  const { epoch: _, ...oldGrant } = GRANT;
  expect(parserOf(Grant)(oldGrant)).toBeUndefined();
});
