import { expect, test } from 'vitest';
import { databaseWarnings } from '../../src/farm/status.ts';

const primary = {
  name: 'db1',
  role: 'primary',
  sync: '',
  state: 'running',
  address: '',
  lagBytes: 0,
  lagMs: 0,
} as const;
const standby = (sync: string, lagBytes = 0) =>
  ({ ...primary, name: 'db2', role: 'standby', state: 'streaming', sync, lagBytes }) as const;

test.each([
  ['none follows, and none was asked for', [], 0, []],
  ['a copy follows, and none has to confirm', ['async'], 0, []],
  ['one confirms, and a copy follows beside it', ['sync', 'async'], 1, []],
  ['one of a quorum confirms', ['quorum', 'quorum'], 1, []],
  ['the one that has to confirm is gone', [], 1, ['no standby confirms commits: writes wait']],
  ['only a copy follows', ['async'], 1, ['no standby confirms commits: writes wait']],
  ['one that may has not caught up', ['potential'], 1, ['no standby confirms commits: writes wait']],
  ['two have to', ['sync', 'async'], 2, ['1 of 2 standbys confirm commits: writes wait']],
  ['the role may not see how they follow', ['unknown'], 1, []],
] as const)('standbys: %s', (_what, found, asked, words) => {
  expect(databaseWarnings([primary, ...found.map((sync) => standby(sync))], asked)).toEqual(words);
});

test('one that is far behind is named, whether it confirms or not', () => {
  expect(databaseWarnings([primary, standby('async', 64 * 1_048_576)], 0)).toEqual(['standby db2 is 64 MiB behind']);
});
