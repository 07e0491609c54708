import { expect, test } from 'vitest';
import { addressSetOf } from '../src/index.ts';

test('an address is in a set however it is written', () => {
  const set = addressSetOf(['192.0.2.7', '198.51.100.0/24', '2001:db8::/32']);
  for (const one of ['192.0.2.7', '::ffff:192.0.2.7', '198.51.100.255', '2001:DB8:1::9', '[2001:db8::1]'])
    expect(set.has(one), one).toBe(true);
  for (const one of ['192.0.2.8', '198.51.101.0', '2001:db9::1', '::1', '', 'localhost'])
    expect(set.has(one), one).toBe(false);
  expect(addressSetOf([]).has('127.0.0.1')).toBe(false);
});

test.each(['', 'localhost', '192.0.2.0/33', '2001:db8::/129', '192.0.2.0/x', '192.0.2.0/-1', '1.2.3'])(
  'what is no address or network is refused: "%s"',
  (entry) => {
    expect(() => addressSetOf([entry])).toThrow(TypeError);
  },
);
