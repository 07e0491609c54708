import type { Device } from '@sallyport/device';
import { DeviceError } from '@sallyport/device';
import { expect, test } from 'vitest';
import { findWay, knownWay, readDestination } from '../src/device/forward/way.ts';

const RESOURCES = [
  { name: 'wiki', kind: 'http', authority: 'wiki.corp' },
  { name: 'odd', kind: 'http', authority: 'odd.corp:8443' },
  { name: 'v6', kind: 'http', authority: '[fd00::1]' },
  { name: 'both', kind: 'http', authority: 'both.corp' },
  { name: 'bothtls', kind: 'tcp', authority: 'both.corp:443' },
  { name: 'shells', kind: 'tcp', authority: '*.shell.corp:22' },
  { name: 'apps', kind: 'http', authority: '*.apps.corp' },
];

test.each([
  ['wiki.corp:80', 'http wiki.corp'],
  ['WIKI.corp.:443', 'http wiki.corp'],
  ['wiki.corp:8443', undefined],
  ['odd.corp:8443', 'http odd.corp:8443'],
  ['odd.corp:443', undefined],
  ['[FD00:0::1]:443', 'http [fd00::1]'],
  ['both.corp:443', 'tcp both.corp:443'],
  ['both.corp:80', 'http both.corp'],
  ['a.b.shell.corp:22', 'tcp a.b.shell.corp:22'],
  ['shell.corp:22', undefined],
  ['x.apps.corp:443', 'http x.apps.corp'],
  ['x.apps.corp:444', undefined],
])('%s leads to %s', (text, expected) => {
  const way = knownWay({ resources: RESOURCES }, readDestination(text)!);
  expect(way && `${way.kind} ${way.authority}`).toBe(expected);
});

test.each([
  '',
  ':',
  'wiki.corp',
  'wiki.corp:',
  'wiki.corp:0',
  'wiki.corp:65536',
  'wiki.corp:080',
  '*.apps.corp:80',
  '[fd00::1]',
  'a b:80',
  'x@wiki.corp:80',
  '[::1:80',
])('%j is no destination', (text) => expect(readDestination(text)).toBeUndefined());

test('what is unknown is looked for when a channel stands; what is known needs none', async () => {
  const resumed: string[] = [];
  const device = {
    resources: RESOURCES.slice(0, 1),
    resume: async () => {
      resumed.push('resume');
      if (resumed.length === 1) Object.assign(device, { resources: RESOURCES });
      else throw new DeviceError('OFFLINE', 'no gateway answers');
    },
  } as unknown as Device;
  expect(await findWay(device, readDestination('wiki.corp:80')!)).toBeDefined();
  expect(resumed).toEqual([]);
  expect(await findWay(device, readDestination('odd.corp:8443')!)).toBeDefined();
  await expect(findWay(device, readDestination('bank.example:443')!)).rejects.toThrow('no gateway');
});
