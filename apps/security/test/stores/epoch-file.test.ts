import { expect, test } from 'vitest';
import { type FoundLife, type KnownLife, refusalOf } from '../../src/stores/epoch-file.ts';

const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);
const KNOWN: KnownLife = { epoch: ONE, system: '7', walBytes: 1_000, head: 5, headHash: 'h5' };
const SAME: FoundLife = {
  realm: { epoch: ONE, supersedes: [], head: 5 },
  system: '7',
  walBytes: 1_000,
  hashThere: 'h5',
};

test.each<[string, Partial<FoundLife>, string | undefined]>([
  ['the same database', {}, undefined],
  ['one that has gone on', { walBytes: 2_000, realm: { ...SAME.realm, head: 9 } }, undefined],
  ['a new epoch that takes its place', { realm: { epoch: TWO, supersedes: [ONE], head: 0 }, system: '8' }, undefined],
  ['an epoch that never did', { realm: { epoch: TWO, supersedes: [], head: 9 } }, 'never took the place'],
  ['a copy on another server', { system: '8', walBytes: 9_000 }, 'another server'],
  ['one that lost entries', { realm: { ...SAME.realm, head: 4 } }, 'older'],
  ['one that lost changes other than entries', { walBytes: 999 }, 'older'],
  ['one whose entries are others', { hashThere: 'x', realm: { ...SAME.realm, head: 9 } }, 'not the one'],
])('a node that has worked with a database meets %s', (_what, over, refusal) => {
  const said = refusalOf(KNOWN, { ...SAME, ...over });
  if (refusal === undefined) expect(said).toBeUndefined();
  else expect(said).toContain(refusal);
});

test('a node that has seen none takes any', () => {
  expect(refusalOf(undefined, SAME)).toBeUndefined();
});
