import { expect, test } from 'vitest';
import {
  canonicalAuthority,
  findByAuthority,
  isAuthority,
  liesUnder,
  wildcardPart,
  withoutFinalDot,
} from '../src/index.ts';

test.each([
  ['wiki.corp', 'wiki.corp'],
  ['Wiki.CORP.', 'wiki.corp'],
  ['wiki.corp.:8080', 'wiki.corp:8080'],
  ['my_app.corp', 'my_app.corp'],
  ['_dmarc.corp:81', '_dmarc.corp:81'],
  ['10.1.2.3:80', '10.1.2.3:80'],
  ['[FD00:0:0::1]', '[fd00::1]'],
  ['[::ffff:10.0.0.1]:443', '[::ffff:a00:1]:443'],
  ['*.corp', '*.corp'],
  ['*.Dev.Corp.:8443', '*.dev.corp:8443'],
])('%s has the one form %s, which goes over the wire', (text, form) => {
  expect(canonicalAuthority(text)).toBe(form);
  expect(canonicalAuthority(form)).toBe(form);
  expect(isAuthority(form)).toBe(!form.startsWith('*'));
});

test.each([
  '',
  '.',
  '*',
  '*.',
  '*corp',
  'a.*.corp',
  '*.*.corp',
  'a..b',
  '.corp',
  'wiki.corp..',
  'a b',
  'a@b',
  'a/b',
  'a:0',
  'a:65536',
  'a:',
  '[::1',
  '::1',
  '[::1%eth0]',
  '[wiki]',
  '*.[::1]',
  '*.10',
  '*.1.2.3',
  '*.corp.0x7f',
])('%s is no authority', (text) => {
  expect(canonicalAuthority(text)).toBeUndefined();
});

test.each(['wiki.corp.', 'Wiki.corp', 'a..b', '-a', 'a-', 'a b', 'u@a', '[::1]x', '[::G]', '*.corp', 'a:0', ''])(
  '%s does not go over the wire',
  (text) => {
    expect(isAuthority(text)).toBe(false);
  },
);

test('the dot that ends a host goes, and no other', () => {
  expect(['wiki.corp.', 'wiki.corp.:81', 'a.b', '[::1]:8'].map(withoutFinalDot)).toEqual([
    'wiki.corp',
    'wiki.corp:81',
    'a.b',
    '[::1]:8',
  ]);
});

test.each([
  ['*.corp', 'a.corp', 'a'],
  ['*.corp', 'a.b.corp', 'a.b'],
  ['*.corp', 'corp', undefined],
  ['*.corp', 'acorp', undefined],
  ['*.corp', 'a.corp:81', undefined],
  ['*.corp:81', 'a.corp:81', 'a'],
  ['*.corp:81', 'a.corp', undefined],
])('of %s the * in %s is %s', (wildcard, authority, part) => {
  expect(wildcardPart(wildcard, authority)).toBe(part);
});

test('the same name is nearer than a wildcard, and the longest wildcard the nearest', () => {
  const among = ['*.corp', '*.dev.corp', 'hr.corp', '*.corp:81'].map((authority) => ({ authority }));
  const found = (authority: string) => findByAuthority(among, authority)?.authority;
  expect(found('hr.corp')).toBe('hr.corp');
  expect(found('x.hr.corp')).toBe('*.corp');
  expect(found('a.dev.corp')).toBe('*.dev.corp');
  expect(found('dev.corp')).toBe('*.corp');
  expect(found('a.dev.corp:81')).toBe('*.corp:81');
  expect(found('corp')).toBeUndefined();
  expect([
    liesUnder('*.corp', '*.dev.corp'),
    liesUnder('*.corp', 'hr.corp'),
    liesUnder('*.dev.corp', '*.corp'),
    liesUnder('*.corp', '*.corp'),
    liesUnder('*.corp', 'corp'),
    liesUnder('hr.corp', 'hr.corp'),
  ]).toEqual([true, true, false, false, false, false]);
});
