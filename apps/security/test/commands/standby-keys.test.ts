import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serverCrypto } from '@sallyport/channel/sodium';
import { freePort, runCommand, scratchFolder } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { createKeks } from '../../src/keys/kek.ts';

const PROGRAM = fileURLToPath(new URL('../../src/commands/standby-command.ts', import.meta.url));
const folder = scratchFolder();
const handed = join(folder, 'handed.json');
const kept = join(folder, 'data/security/kek.json');
mkdirSync(join(folder, 'data'));
createKeks(serverCrypto(), handed);
afterAll(() => rmSync(folder, { recursive: true }));

/** A takeover on the host of a site whose Security servers never ran, and whose database does not answer. */
async function takeOver(environment: Record<string, string>) {
  const settings = { SALLYPORT_DATA: join(folder, 'data'), SALLYPORT_DATABASE_HOSTS: `127.0.0.1:${await freePort()}` };
  const order = ['takeover', '--actor', 'olga', '--reason', 'the first site burned'];
  return runCommand(process.execPath, [PROGRAM, ...order], { environment: { ...settings, ...environment } });
}

test('a takeover without keys ends before it comes to any database', async () => {
  const { code, stderr } = await takeOver({});
  expect(stderr).toMatch(
    /^the realm is wrapped with keys that this node lacks: copy kek\.json of another node to \S+\n$/,
  );
  expect(code).toBe(1);
});

test('a takeover begins with the keys that were handed to the host', async () => {
  const { stderr } = await takeOver({ SALLYPORT_KEK_FILE: handed });
  expect(stderr).not.toContain('keys that this node lacks');
  expect(existsSync(kept)).toBe(true);
  expect(JSON.parse(readFileSync(kept, 'utf8'))).toEqual(JSON.parse(readFileSync(handed, 'utf8')));
});
