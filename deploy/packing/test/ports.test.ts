import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PORTS } from '@sallyport/ports';
import { expect, test } from 'vitest';
import { portFiles } from '../src/ports/files.ts';
import { ROOT } from '../src/source.ts';

test('documents, rules and the chart are those of the table of ports (npm run ports writes them)', () => {
  for (const [file, text] of portFiles()) {
    expect(existsSync(join(ROOT, file)), file).toBe(true);
    expect(readFileSync(join(ROOT, file), 'utf8'), file).toBe(text);
  }
  expect(new Set(PORTS.map(({ name }) => name)).size).toBe(PORTS.length);
});

interface Read {
  readonly fallback?: { readonly port?: number };
}

test('whatever a server listens at is in the table, at the port that its settings say', async () => {
  for (const [app, place] of [
    ['security', 'Security'],
    ['proxy', 'Proxy'],
    ['phone', 'phone page'],
  ] as const) {
    const { SETTINGS } = (await import(join(ROOT, 'apps', app, 'src/config.ts'))) as { SETTINGS: Record<string, Read> };
    const listening = Object.entries(SETTINGS).filter(([name]) => name.endsWith('LISTEN'));
    expect(listening.length).toBeGreaterThan(0);
    for (const [name, { fallback }] of listening) {
      const row = PORTS.find(({ to, setting }) => to === place && setting === name);
      expect(row, name).toBeDefined();
      if (fallback?.port !== undefined) expect(row!.port, name).toBe(fallback.port);
    }
    for (const { setting } of PORTS.filter(({ to, from }) => to === place || from.includes(place)))
      if (setting?.endsWith('LISTEN') && PORTS.find((port) => port.setting === setting)!.to === place)
        expect(Object.keys(SETTINGS)).toContain(setting);
  }
});

const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const isRoot = process.getuid?.() === 0;

/** A host of Security behind its rules, and a peer; what would be dropped is refused, so that nobody waits. */
const HOST = `
set -e
mount -t tmpfs tmpfs /run
mkdir /run/netns
ip link set lo up
ip netns add peer
ip link add v0 type veth peer name v1 netns peer
ip addr add 10.9.0.1/24 dev v0
ip link set v0 up
ip -n peer addr add 10.9.0.2/24 dev v1
ip -n peer link set v1 up
nft -f "$2"
for chain in into out; do nft add rule inet sallyport $chain reject with tcp reset; done
nft add element inet sallyport proxy4 '{ 10.9.0.2 }'
exec "$1" "$3" host
`;

test.skipIf(!isRoot || !has('nft') || !has('unshare'))(
  'rules of nftables let in and out what the table says, from those who are named, and nothing else',
  () => {
    const script = join(ROOT, 'deploy/packing/test/firewalled.mjs');
    const rules = join(ROOT, 'deploy/firewall/security.nft');
    const args = ['--net', '--mount', 'bash', '-c', HOST, 'bash', process.execPath, rules, script];
    const tried = JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' })) as Record<string, number[]>;
    // The peer is a Proxy: not an operator, not Prometheus, and nobody may log in.
    expect(tried['into']).toEqual([8443]);
    // The database is not named yet, then it is.
    expect(tried['out']).toEqual([]);
    expect(tried['named']).toEqual([5432]);
  },
);

test.skipIf(!isRoot || !has('nft') || !has('unshare'))('the rules of every host are sound', () => {
  const files = [...portFiles().keys()].filter((file) => file.endsWith('.nft'));
  expect(files.length).toBeGreaterThan(4);
  for (const file of files) execFileSync('unshare', ['--net', 'nft', '-c', '-f', join(ROOT, file)]);
});
