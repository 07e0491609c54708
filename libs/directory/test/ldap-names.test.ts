import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalDn } from '../src/ldap/names.ts';

/** Names of one entry each, in all the ways in which they are written. */
const SAME: readonly (readonly string[])[] = [
  [
    'CN=Doe\\, Ann,OU=Staff,DC=ad,DC=example',
    'cn=doe\\2C ann, ou=Staff, dc=AD, dc=example',
    'CN="Doe, Ann",OU=Staff,DC=ad,DC=example',
  ],
  ['CN=Doe\\,Ann,OU=Staff,DC=ad,DC=example', 'cn=Doe\\2cAnn;OU=Staff;DC=ad;DC=example'],
  ['CN=\\ Ann,DC=x', 'CN=\\20Ann,DC=x', 'cn = \\20ann , dc = x'],
  [
    'CN=Ann,DC=x',
    'CN= Ann ,DC=x',
    '2.5.4.3=Ann,0.9.2342.19200300.100.1.25=x',
    'OID.2.5.4.3=ann,dc=x',
    'CN=#0c03416e6e,DC=x',
    'commonName=Ann,DC=x',
  ],
  ['CN=Ann\\ ,DC=x', 'CN=Ann\\20 ,DC=x'],
  ['CN=Ann+UID=a1,DC=x', 'uid=A1+cn=ann,dc=x', 'UID=a1 + CN=Ann, DC=x'],
  ['CN=J\\C3\\BCrgen,DC=x', 'CN=Jürgen,DC=x', 'cn=JÜRGEN,DC=x', 'CN=Ju\u0308rgen,DC=x'],
  ['CN=a\\+b\\=c\\"\\;\\<\\>\\\\,DC=x', 'CN=a\\2Bb\\3dc\\22\\3B\\3c\\3e\\5c,DC=x'],
  ['CN=\\#1,DC=x', 'CN=\\231,DC=x'],
  ['CN=Ann  B,DC=x'],
  ['CN=Ann B,DC=x'],
  ['CN=AnnB,DC=x'],
  ['CN=Ann,UID=a1,DC=x'],
  ['CN=Ann\\+UID=a1,DC=x', 'CN=Ann\\2BUID\\3Da1,DC=x'],
  ['CN=\\FF,DC=x'],
  ['CN=\\FE,DC=x'],
  ['CN=Ann\\0ACNF:1,DC=x'],
  [''],
];

test('one entry has one name, however it is written', () => {
  for (const names of SAME) expect(new Set(names.map(canonicalDn)).size, names[0]).toBe(1);
  for (const [name] of SAME) expect(canonicalDn(name!)).toBeDefined();
});

test('two entries have two names', () => {
  const all = SAME.map(([name]) => canonicalDn(name!));
  expect(new Set(all).size).toBe(SAME.length);
});

test.each([
  'Ann',
  'CN',
  '=x',
  'CN=Ann,',
  'CN=Ann,,DC=x',
  'CN="Ann',
  'CN="Ann"x,DC=x',
  'CN=#zz,DC=x',
  'CN=#0c,x',
  'CN=a\\',
  '<GUID=1>',
  '+CN=x',
])('no name: %s', (text) => expect(canonicalDn(text)).toBeUndefined());

/** Writes a value with escapes at will. */
function written(value: string, hex: readonly boolean[]): string {
  return [...value]
    .map((character, i) => {
      if (hex[i % hex.length])
        return [...Buffer.from(character)].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
      return '"+,;<>\\=# '.includes(character) ? `\\${character}` : character;
    })
    .join('');
}

test('whatever values hold: the same in other escapes is the same, another value is another name, and the canonical name is its own', () => {
  const value = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(...'aB é,+="\\#; \0<>ü1') });
  const flags = fc.array(fc.boolean(), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(value, value, flags, flags, (a, b, one, other) => {
      const nameOf = (text: string, hex: readonly boolean[]): string | undefined =>
        canonicalDn(`CN=${written(text, hex)},DC=x`);
      expect(nameOf(a, one)).toBe(nameOf(a, other));
      expect(nameOf(a, one) === nameOf(b, one)).toBe(a.toLowerCase() === b.toLowerCase());
      expect(canonicalDn(nameOf(a, one)!)).toBe(nameOf(a, one));
    }),
    { verbose: 1, numRuns: 5_000 },
  );
});

test('a long name takes no longer than its length', () => {
  const name = `CN=${'\\,'.repeat(50_000)},DC=x`;
  expect(canonicalDn(name)!.length).toBe(name.length);
});
