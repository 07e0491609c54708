import { expect, test } from 'vitest';
import { addressSetOf, isPublicAddress, networksOf } from '../src/index.ts';

test('an address is in a network of its own family only, written as it will be used', () => {
  const networks = networksOf(['10.0.0.0/8', 'fd00::/8', '192.0.2.7']);
  for (const one of ['10.255.0.1', 'fd12::1', '192.0.2.7']) expect(networks.has(one), one).toBe(true);
  for (const one of ['11.0.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', '::10.0.0.1', '192.0.2.8', '', 'localhost'])
    expect(networks.has(one), one).toBe(false);
  expect(networksOf([]).has('10.0.0.1')).toBe(false);
});

test('a network of IPv4-mapped addresses holds these and no IPv4 ones', () => {
  const mapped = networksOf(['::ffff:10.0.0.0/104']);
  expect(mapped.has('::ffff:10.1.2.3')).toBe(true);
  expect(mapped.has('::ffff:11.1.2.3')).toBe(false);
  expect(mapped.has('10.1.2.3')).toBe(false);
});

test('whom somebody knows is known as IPv4 and as IPv4-mapped, what is let in is not', () => {
  expect(addressSetOf(['10.0.0.0/8']).has('::ffff:10.0.0.1')).toBe(true);
  expect(networksOf(['10.0.0.0/8']).has('::ffff:10.0.0.1')).toBe(false);
});

test.each([
  '',
  'localhost',
  '10.0.0.0/33',
  'fd00::/129',
  '10.0.0.0/',
  '10.0.0.0/8/8',
  '10.0.0.0/-1',
  '10.0.0.0/ 8',
  '10.1',
])('what is no network is refused: "%s"', (entry) => {
  expect(() => networksOf([entry])).toThrow(TypeError);
});

test.each([
  ['93.184.216.34', true],
  ['2606:4700::1', true],
  ['10.0.0.1', false],
  ['198.19.255.255', false],
  ['255.255.255.255', false],
  ['::1', false],
  ['::ffff:93.184.216.34', false],
  ['64:ff9b::5db8:d822', false],
  ['2002:5db8:d822::', false],
  ['fe80::1', false],
  ['ff02::1', false],
  ['localhost', false],
  ['', false],
])('%s is plain public unicast: %s', (address, is) => {
  expect(isPublicAddress(address)).toBe(is);
});
