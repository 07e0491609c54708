import { mkdtempSync, rmSync } from 'node:fs';
import type { Device } from '@sallyport/device';
import { afterAll, expect, test, vi } from 'vitest';
import { caFile, loadCa } from '../src/device/local-ca/ca-file.ts';
import { trustedFile } from '../src/device/trust/commands.ts';
import { keepLocalCa } from '../src/device/trust/keep.ts';
import { Trusted } from '../src/device/trust/trusted.ts';

const folder = mkdtempSync('/tmp/sallyport-keep-');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a CA that nobody trusts follows the resources, one that stands in stores is left to its user', async () => {
  const globals = { data: folder, json: false };
  const listeners: (() => void)[] = [];
  const device = {
    resources: [] as object[],
    on: (_name: string, listener: () => void) => listeners.push(listener),
  };
  const has = (...authorities: string[]): void => {
    device.resources = authorities.map((authority) => ({ name: authority, kind: 'http', authority }));
    for (const listener of listeners) listener();
  };
  const said: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  const permitted = (): readonly string[] | undefined => loadCa(caFile(globals))?.permitted.domains;
  await keepLocalCa(globals, device as unknown as Device);
  expect(permitted()).toBeUndefined();
  has('wiki.corp');
  await vi.waitFor(() => expect(permitted()).toEqual(['corp']), 90_000);
  has('wiki.corp', 'git.company.com');
  await vi.waitFor(() => expect(permitted()).toEqual(['corp', 'git.company.com']), 90_000);
  const store = { place: 'a store', add: () => undefined, remove: () => undefined };
  new Trusted(trustedFile(globals)).add([store], { name: 'it', certificate: '' });
  has('wiki.corp', 'git.company.com', 'new.company.com');
  await vi.waitFor(() => expect(said.join('')).toContain('does not cover new.company.com'), 90_000);
  expect(said.join('')).toContain('sallyport device trust');
  expect(permitted()).toEqual(['corp', 'git.company.com']);
  vi.restoreAllMocks();
});
