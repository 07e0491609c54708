import { expect, test } from 'vitest';

import { journalWords } from '../../src/farm/status.ts';

const GOOD = { place: 'in /j', written: 3, ours: true, claimedBy: 'e', silentMs: 900 };

test.each([
  ['ours, and it answers', GOOD, undefined],
  ['none at all', undefined, 'after a restore of the database from a backup, what was revoked since is no longer'],
  ['silent', { ...GOOD, silentMs: 60_000 }, 'no revocation is in force until it does'],
  ['never reached', { place: 'in /j', written: 0, ours: false }, 'no revocation is in force until it does'],
  ['of another epoch', { ...GOOD, ours: false, claimedBy: 'f' }, 'nothing is given from this database any more'],
] as const)('a journal that is %s', (_what, journal, words) => {
  const said = journalWords(journal).join();
  if (words === undefined) expect(said).toBe('');
  else expect(said).toContain(words);
});
