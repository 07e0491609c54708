import { expect, test } from 'vitest';
import { type FoundLife, type KnownLife, lifeRefusal, witnessRefusal } from '../../src/index.ts';

const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);
const THREE = '3'.repeat(32);
const AUDIT = { seq: 9, hash: 'a9' };
const KNOWN: KnownLife = { epoch: ONE, system: '7', walBytes: 1_000, head: 5, headHash: 'h5', audit: AUDIT };
const SAME: FoundLife = {
  realm: { epoch: ONE, supersedes: [], head: 5 },
  system: '7',
  walBytes: 1_000,
  hashThere: 'h5',
  auditThere: 'a9',
  audit: AUDIT,
};

test.each<[string, Partial<FoundLife>, string | undefined]>([
  ['the same database', {}, undefined],
  ['one that has gone on', { walBytes: 2_000, realm: { ...SAME.realm, head: 9 } }, undefined],
  ['a new epoch that takes its place', { realm: { epoch: TWO, supersedes: [ONE], head: 0 }, system: '8' }, undefined],
  ['an epoch that never did', { realm: { epoch: TWO, supersedes: [], head: 9 } }, 'never took the place'],
  ['a copy on another server', { system: '8', walBytes: 9_000 }, 'another server'],
  ['one that lost entries', { realm: { ...SAME.realm, head: 4 } }, 'older'],
  ['one that lost changes other than entries', { walBytes: 999 }, 'older'],
  ['one that lost audit events only', { audit: { seq: 8, hash: 'a8' }, auditThere: undefined }, 'older'],
  ['one whose audit log is another', { auditThere: 'x', audit: { seq: 12, hash: 'y' } }, 'audit log'],
  ['one whose old audit events were removed', { auditThere: undefined, audit: { seq: 99, hash: 'z' } }, undefined],
  ['one whose entries are others', { hashThere: 'x', realm: { ...SAME.realm, head: 9 } }, 'not the one'],
])('a node that has worked with a database meets %s', (_what, over, refusal) => {
  const said = lifeRefusal(KNOWN, { ...SAME, ...over });
  if (refusal === undefined) expect(said).toBeUndefined();
  else expect(said).toContain(refusal);
});

test('a node that has seen none takes any', () => {
  expect(lifeRefusal(undefined, SAME)).toBeUndefined();
});

test('a file of the version before says nothing of the audit log', () => {
  const { audit: _, ...before } = KNOWN;
  expect(lifeRefusal(before, { ...SAME, audit: { seq: 1, hash: 'q' }, auditThere: undefined })).toBeUndefined();
});

test.each<[string, Partial<FoundLife>, string | undefined]>([
  ['the same database', {}, undefined],
  ['one that went back', { walBytes: 999 }, 'older than what Proxy p1 (2026-11-26T14:05:00.000Z) has seen'],
  ['one whose place was taken', { realm: { epoch: TWO, supersedes: [], head: 9 } }, 'never took the place'],
  ['one that took its place', { realm: { epoch: THREE, supersedes: [ONE], head: 0 }, system: '8' }, undefined],
  ['one that it knows nothing of', { realm: { epoch: THREE, supersedes: [TWO], head: 0 } }, undefined],
])('a proof that a Proxy brings is held against %s', (_what, over, refusal) => {
  const at = Date.UTC(2026, 10, 26, 14, 5);
  const witness = { ...KNOWN, journaled: 5, audit: AUDIT, supersedes: [TWO], at };
  const refused = witnessRefusal(witness, { bearer: 'Proxy p1', found: { ...SAME, ...over } });
  if (refusal === undefined) expect(refused).toBeUndefined();
  else expect(refused?.why).toContain(refusal);
});
