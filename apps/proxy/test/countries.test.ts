import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { countriesFile, scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { Countries } from '../src/serving/countries.ts';

const folder = scratchFolder();

/** What a Proxy is told, and what it is given. */
function opened(name: string, content: Buffer) {
  const file = join(folder, name);
  writeFileSync(file, content);
  const told: string[] = [];
  const say = (_: unknown, words: string): void => void told.push(words);
  // What is used of a log.
  const countries = new Countries(file, { warn: say, info: say } as unknown as ConstructorParameters<
    typeof Countries
  >[1]);
  let minute = Date.now() / 1_000;
  const change = (next: Buffer): void => {
    writeFileSync(file, next);
    minute += 60;
    utimesSync(file, minute, minute);
    countries.look();
  };
  return { countries, told, change };
}

const GERMANY = countriesFile([
  { network: '192.0.2.0/24', record: { country: { iso_code: 'DE' } } },
  { network: '198.51.100.0/25', record: { country_code: 'AT' } },
  { network: '198.51.100.128/25', record: { country: { iso_code: 'x' } } },
  { network: '203.0.113.0/24', record: {} },
]);

test('the country of an address is what the file says, in either way of saying it', () => {
  const { countries } = opened('a.mmdb', GERMANY);
  expect(countries.of('192.0.2.7')).toBe('DE');
  expect(countries.of('198.51.100.1')).toBe('AT');
  // How a socket of both families names an IPv4 peer.
  expect(countries.of('::ffff:192.0.2.7')).toBe('DE');
  for (const address of ['198.51.100.129', '203.0.113.1', '10.0.0.1', '2001:db8::1', 'no address', ''])
    expect(countries.of(address), address).toBeUndefined();
  countries.close();
});

test('a file of IPv4 alone knows nothing of other addresses, whatever their first bits are', () => {
  const networks = [{ network: '0.0.0.0/1', record: { country: { iso_code: 'DE' } } }];
  const { countries } = opened('d.mmdb', countriesFile(networks, 4));
  expect(countries.of('1.2.3.4')).toBe('DE');
  expect(countries.of('::ffff:1.2.3.4')).toBe('DE');
  expect(countries.of('2001:db8::1')).toBeUndefined();
  countries.close();
});

test('a file that changes is read again, and one that is none then leaves the one before in place', () => {
  const { countries, told, change } = opened('b.mmdb', GERMANY);
  change(countriesFile([{ network: '192.0.2.0/24', record: { country: { iso_code: 'FR' } } }]));
  expect(countries.of('192.0.2.7')).toBe('FR');
  change(Buffer.from('half of a file'));
  expect(countries.of('192.0.2.7')).toBe('FR');
  expect(told).toEqual(['countries of addresses are read anew', expect.stringContaining('could not be read again')]);
  countries.close();
});

test('a Proxy does not start with a file that is none of countries', () => {
  expect(() => opened('c.mmdb', Buffer.from('nothing of the kind'))).toThrow('no MaxMind DB file');
});
