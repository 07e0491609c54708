import { expect, test } from 'vitest';
import { fitsCountry, fitsNetwork } from '../src/index.ts';

const OFFICE = ['10.0.0.0/8', 'fd00::/8'];

test.each([
  ['10.1.2.3', { networks: OFFICE }, true],
  ['192.0.2.7', { networks: OFFICE }, false],
  ['fd00::7', { networks: OFFICE }, true],
  // How a socket of both families names an IPv4 peer.
  ['::ffff:10.1.2.3', { networks: OFFICE }, true],
  ['fe80::1%eth0', { networks: ['fe80::/10'] }, true],
  ['10.1.2.3', { notNetworks: OFFICE }, false],
  ['::ffff:10.1.2.3', { notNetworks: OFFICE }, false],
  ['192.0.2.7', { notNetworks: OFFICE }, true],
  ['10.9.0.1', { networks: OFFICE, notNetworks: ['10.9.0.0/16'] }, false],
  ['10.8.0.1', { networks: OFFICE, notNetworks: ['10.9.0.0/16'] }, true],
  ['no address', { networks: ['0.0.0.0/0', '::/0'] }, false],
  ['no address', { notNetworks: OFFICE }, false],
  ['', { notNetworks: OFFICE }, false],
  ['no address', {}, true],
  ['10.1.2.3', { networks: ['::ffff:10.0.0.0/104'] }, true],
  ['10.1.2.3', { notNetworks: ['::ffff:10.0.0.0/104'] }, false],
  ['::ffff:10.1.2.3', { notNetworks: ['::ffff:a00:0/104'] }, false],
  ['192.0.2.7', { notNetworks: ['::ffff:10.0.0.0/104'] }, true],
  ['fd00::7', { notNetworks: ['::ffff:10.0.0.0/104'] }, true],
])('a device at %s, %j: %s', (address, rule, fits) => {
  expect(fitsNetwork(rule, address)).toBe(fits);
});

test.each([
  ['DE', {}, true],
  [undefined, {}, true],
  ['DE', { countries: ['DE', 'AT'] }, true],
  ['FR', { countries: ['DE', 'AT'] }, false],
  ['FR', { notCountries: ['DE'] }, true],
  ['DE', { notCountries: ['DE'] }, false],
  ['DE', { countries: ['DE'], notCountries: ['DE'] }, false],
  // Nobody is let in for coming from nowhere.
  [undefined, { countries: ['DE'] }, false],
  [undefined, { notCountries: ['DE'] }, false],
])('a device from %s, %j: %s', (country, rule, fits) => {
  expect(fitsCountry(rule, country)).toBe(fits);
});
