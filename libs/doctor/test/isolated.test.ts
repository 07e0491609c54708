import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Diagnosis } from '../src/index.ts';

const PROGRAM = fileURLToPath(new URL('./isolated.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;
if (!isRoot)
  process.stdout.write('faults of networks and disks need root to be made, so they are skipped: sudo npm test\n');

async function diagnose(fault: string): Promise<Diagnosis> {
  const limits = fault === 'few files' ? ['prlimit', '--nofile=1024:1024'] : [];
  const args = ['--net', '--mount', '--pid', '--fork', '--mount-proc', ...limits, process.execPath, PROGRAM, fault];
  const { stdout } = await promisify(execFile)('unshare', args);
  const wrong = (JSON.parse(stdout) as Diagnosis[]).filter(({ state }) => state !== 'ok');
  expect(wrong, stdout).toHaveLength(1);
  return wrong[0]!;
}

(isRoot ? test.concurrent : test.concurrent.skip).each([
  [
    'dropped on the way in',
    'port',
    /is up, and port \d+ is silent/,
    /a firewall drops \d+\/tcp between Proxy and Security/,
  ],
  ['dropped on the way back', 'port', /is up, and port \d+ is silent/, /a firewall drops/],
  ['everything dropped', 'port', /nothing comes back from 127/, /the network between Proxy and Security/],
  ['rejected', 'port', /there is no way to|refuses port/, /routing|a firewall rejects/],
  ['large packets vanish', 'mtu', /large ones vanish/, /sends no "packet too big"/],
  ['large packets vanish on the way back', 'mtu', /large ones vanish/, /sends no "packet too big"/],
  ['full disk', 'disk', /nothing can be written \(ENOSPC\)/, undefined],
  ['few files', 'files', /1024 at most, and 50000 are wanted/, undefined],
] as const)('%s: it is named, with the hop and what to do', async (fault, check, words, hop) => {
  const found = await diagnose(fault);
  expect(found).toMatchObject({ check, state: 'failure' });
  expect(found.words).toMatch(words);
  if (hop) expect(found.hop).toMatch(hop);
  expect(found.next).toBeTruthy();
});
