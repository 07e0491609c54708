import { expect, test } from 'vitest';
import { accountOf } from '../src/ldap/entry.ts';
import { flavourOf } from '../src/ldap/flavour.ts';

const SETTINGS = { servers: ['ldaps://x'], base: 'dc=x', bindDn: 'cn=r', flavour: 'standard' } as never;
const FLAVOUR = flavourOf(SETTINGS);
const AD = flavourOf({ ...(SETTINGS as object), flavour: 'ad' } as never);
const ENTRY = { dn: 'uid=ann,dc=x', entryUUID: 'u-1', uid: 'ann' };

test.each([
  [{}, true],
  [{ pwdAccountLockedTime: '20261125201500Z' }, true],
  [{ pwdAccountLockedTime: '20261125201500.123Z' }, true],
  [{ pwdAccountLockedTime: '19990101000000Z' }, true],
  [{ pwdAccountLockedTime: '000001010000Z' }, false],
  [{ pwdaccountlockedtime: ['000001010000Z'] }, false],
  [{ nsAccountLock: 'TRUE' }, false],
  [{ nsAccountLock: 'false' }, true],
])('wrong guesses dismiss nobody, an administrator does: %j is active: %s', (attributes, active) => {
  expect(accountOf({ ...ENTRY, ...attributes } as never, FLAVOUR)).toMatchObject({ active });
});

test.each([
  ['512', true],
  ['514', false],
  [String(512 + 16), true],
])('userAccountControl %s, with a lockoutTime, is active: %s', (userAccountControl, active) => {
  const entry = {
    dn: 'CN=a,DC=x',
    objectGUID: Buffer.alloc(16, 1),
    sAMAccountName: 'a',
    lockoutTime: '133801234567890000',
  };
  expect(accountOf({ ...entry, userAccountControl } as never, AD)).toMatchObject({ active });
});

test('an entry without an id or a login is nobody; its name is in the one spelling', () => {
  expect(accountOf({ dn: 'uid=a,dc=x', uid: 'a' } as never, FLAVOUR)).toBeUndefined();
  expect(accountOf({ dn: 'uid=a,dc=x', entryUUID: 'u' } as never, FLAVOUR)).toBeUndefined();
  expect(accountOf({ ...ENTRY, dn: 'UID=Ann , DC=X' } as never, FLAVOUR)?.dn).toBe('uid=ann,dc=x');
});
