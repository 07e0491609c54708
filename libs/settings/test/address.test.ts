import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressKey, parseAddress } from '../src/index.ts';

test('an address has one form, however it is written', () => {
  const cases: readonly (readonly [text: string, parsed: string | undefined])[] = [
    ['192.0.2.7', '192.0.2.7'],
    [' 192.0.2.7 ', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:207', '192.0.2.7'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['2001:db8::', '2001:db8:0:0:0:0:0:0'],
    ['2001:DB8::0001', '2001:db8:0:0:0:0:0:1'],
    ['[2001:db8::1]', '2001:db8:0:0:0:0:0:1'],
    ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0:0:0:c000:207'],
    ['', undefined],
    ['unknown', undefined],
    ['192.0.2.7:443', undefined],
    ['1.2.3.4;proto=https', undefined],
    ['1.2.3.4"', undefined],
    ['010.0.0.1', undefined],
    ['1'.repeat(4_000), undefined],
  ];
  for (const [text, parsed] of cases) expect(parseAddress(text), text).toBe(parsed);
});

test('a limit by address counts a /64 of IPv6 as one, or a /48', () => {
  expect(addressKey('192.0.2.7')).toBe('192.0.2.7');
  expect(addressKey('::ffff:192.0.2.7')).toBe('192.0.2.7');
  expect(addressKey('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
  expect(addressKey('2001:db8:1:2::9')).toBe('2001:db8:1:2::/64');
  expect(addressKey('2001:db8:1:3::9')).not.toBe(addressKey('2001:db8:1:2::9'));
  expect(addressKey('2001:db8:1:3::9', 48)).toBe('2001:db8:1::/48');
  expect(addressKey('2001:db8:1:3::9', 48)).toBe(addressKey('2001:db8:1:2::9', 48));
  expect(addressKey('nonsense')).toBe('unknown');
});

test('every way to write an address gives the same form', () => {
  const address = fc.oneof(fc.ipV6(), fc.ipV4());
  fc.assert(
    fc.property(address, (text) => {
      const parsed = parseAddress(text);
      expect(parsed).toBeDefined();
      expect(parseAddress(parsed!)).toBe(parsed);
      expect(parseAddress(text.toUpperCase())).toBe(parsed);
    }),
  );
});
