import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createCa, nameOfCa } from '../src/device/local-ca/local-ca.ts';
import { permittedFor } from '../src/device/local-ca/permitted-names.ts';
import { browserStores } from '../src/device/trust/nss-store.ts';
import { type RunProgram, runProgram } from '../src/device/trust/run-program.ts';
import type { NamedCa } from '../src/device/trust/store.ts';
import { systemStore } from '../src/device/trust/system-store.ts';
import { Trusted } from '../src/device/trust/trusted.ts';

const folder = mkdtempSync('/tmp/sallyport-trust-');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const record = join(folder, 'trusted.json');

async function newCa(): Promise<NamedCa> {
  const { id, certificate } = await createCa(permittedFor(['wiki.corp']), Date.now());
  return { name: nameOfCa(id), certificate };
}

/** A home with a profile of Firefox. */
function newHome(): string {
  const home = mkdtempSync(join(folder, 'home-'));
  const profile = join(home, '.mozilla/firefox/abc.default');
  mkdirSync(profile, { recursive: true });
  execFileSync('certutil', ['-N', '--empty-password', '-d', `sql:${profile}`]);
  return home;
}

function listed(place: string): string {
  return execFileSync('certutil', ['-L', '-d', `sql:${place.split(', ')[1]}`], { encoding: 'utf8' });
}

const hasCertutil = spawnSync('certutil', ['-H']).error === undefined;
if (!hasCertutil)
  console.warn('note: no certutil on this machine (Debian: libnss3-tools), so stores of browsers are left out');

test.skipIf(!hasCertutil)(
  'a CA stands in Chromium and in every profile of Firefox, for servers only, and is taken out of all',
  async () => {
    const home = newHome();
    const stores = browserStores(home, runProgram);
    expect(stores.map(({ place }) => place.split(',')[0])).toEqual(['Chromium', 'Firefox']);
    const [ca, other] = [await newCa(), await newCa()];
    const trusted = new Trusted(record);
    for (let i = 0; i < 2; i++)
      expect(trusted.add(stores, ca).map(({ outcome }) => outcome)).toEqual(['trusted', 'trusted']);
    trusted.add(stores, other);
    for (const { place } of stores) expect(listed(place)).toMatch(new RegExp(`${ca.name} +C,,`));
    // Known by another process, too.
    const again = new Trusted(record);
    again.remove(stores, ({ name }) => name === ca.name);
    for (const { place } of stores) {
      expect(listed(place)).not.toContain(ca.name);
      expect(listed(place)).toContain(other.name);
    }
    again.remove(stores);
    again.remove(stores);
    for (const { place } of stores) expect(listed(place)).not.toContain('Sallyport');
    expect(existsSync(record)).toBe(false);
  },
);

test.skipIf(!hasCertutil)('what was done half is known, and undone', async () => {
  const home = newHome();
  let calls = 0;
  /** Breaks off in the middle of adding to the second store. */
  const breaking: RunProgram = (program, args, input) => {
    if (args.includes('-A') && ++calls === 2) throw new Error('the power went');
    return runProgram(program, args, input);
  };
  const ca = await newCa();
  expect(() => new Trusted(record).add(browserStores(home, breaking), ca)).toThrow('the power went');
  expect(JSON.parse(readFileSync(record, 'utf8'))).toHaveLength(2);
  const stores = browserStores(home, runProgram);
  expect(new Trusted(record).remove(stores).every(({ outcome }) => outcome === 'removed')).toBe(true);
  for (const { place } of stores) expect(listed(place)).not.toContain('Sallyport');
  expect(existsSync(record)).toBe(false);
});

test.skipIf(!hasCertutil)('a store that cannot be read, or is not ours to read, is not said to be clean', async () => {
  const home = newHome();
  const ca = await newCa();
  new Trusted(record).add(browserStores(home, runProgram), ca);
  const locked: RunProgram = (program, args, input) =>
    args.includes('-L') ? { ok: false, output: 'SEC_ERROR_BUSY' } : runProgram(program, args, input);
  const others = browserStores(mkdtempSync(join(folder, 'home-')), runProgram);
  for (const stores of [browserStores(home, locked), others]) {
    for (const outcome of new Trusted(record).remove(stores)) expect(outcome.outcome).toMatch(/^not removed: /);
    expect(new Trusted(record).entries).toHaveLength(2);
  }
  const stores = browserStores(home, runProgram);
  expect(new Trusted(record).remove(stores).map(({ outcome }) => outcome)).toEqual(['removed', 'removed']);
  for (const { place } of stores) expect(listed(place)).not.toContain(ca.name);
});

test('a machine without certutil says which package has it, and what was not undone stays known', async () => {
  const home = mkdtempSync(join(folder, 'home-'));
  const stores = browserStores(home, () => undefined);
  const trusted = new Trusted(record);
  const [outcome] = trusted.add(stores, await newCa());
  expect(outcome!.next).toContain('libnss3-tools');
  // Nothing was put there, so nothing is to be undone.
  expect(trusted.remove(stores)[0]).not.toHaveProperty('next');
  const failing = {
    place: 'somewhere',
    add: () => undefined,
    remove: () => {
      throw new TypeError('a defect');
    },
  };
  trusted.add([failing], await newCa());
  expect(() => trusted.remove([failing])).toThrow('a defect');
  expect(trusted.entries).toHaveLength(1);
  trusted.remove([]);
  expect(trusted.entries).toEqual([]);
});

test('who is not root is told what to type for the list of the system', async () => {
  const store = systemStore({ run: runProgram, isRoot: false, hasTerminal: false });
  if (!store) return;
  const trusted = new Trusted(record);
  const [outcome] = trusted.add([store], await newCa());
  expect(outcome!.next).toMatch(/^sallyport device ca \| sudo tee .*\.crt && sudo update-ca-/);
  expect(trusted.remove([store])[0]!.outcome).toBe('removed');
});

const isRoot = process.getuid?.() === 0;
const onDebian = existsSync('/usr/local/share/ca-certificates');
test.runIf(isRoot && onDebian)('the list of the system takes the CA and gives it back whole', () => {
  // In a mount namespace of its own, on copies: the list of this machine is not touched. A short list, so that it is made quickly.
  const script = `
    cd ${folder} && cp -a /etc/ssl ssl && cp -a /usr/local/share/ca-certificates own && mkdir hooks && echo > conf &&
    mount --make-rprivate / && mount --bind ssl /etc/ssl && mount --bind own /usr/local/share/ca-certificates &&
    mount --bind hooks /etc/ca-certificates/update.d && mount --bind conf /etc/ca-certificates.conf &&
    update-ca-certificates --fresh >/dev/null 2>&1 && exec "$0" "$1"`;
  const steps = new URL('./system-store-steps.ts', import.meta.url).pathname;
  const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, process.execPath, steps], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({
    before: false,
    added: true,
    addedAgain: true,
    halfRemoved: true,
    removed: false,
    same: true,
  });
});
