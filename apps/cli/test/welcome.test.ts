import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { adminOf } from '../src/admin.ts';
import { countKept } from '../src/up/seed.ts';
import { welcome } from '../src/up/welcome.ts';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const [, link = '', user = '', password = ''] =
  /\n +(http\S+#\S+)\n\n +2\. Sign in: +user (\S+) +password (\S+)\n/.exec(README) ?? [];

test('README shows what npm start says, and the commands that it names', () => {
  const kept = { installations: 0, sessions: 0 };
  const said = stripVTControlCharacters(
    welcome({ link, kept, quickStart: { user, password }, phone: 'http://phone.localhost:8480' }),
  );
  const shown = said.slice(said.indexOf('Sallyport is up.'), said.indexOf('\n  3.')).trimEnd();
  const inReadme = shown.replaceAll(/^(?=.)/gm, '    ');
  expect(README).toContain(`\n${inReadme}\n`);
  const commands = said.match(/npm run .*/g) ?? [];
  expect(commands.length).toBeGreaterThan(1);
  for (const command of commands) expect(README).toContain(`    ${command}\n`);
});

test('who is out after a restore does not keep the gateway from being up, and is named with what lets them in', () => {
  const kept = { installations: 1, sessions: 0 };
  const said = stripVTControlCharacters(
    welcome({ link: undefined, kept, quickStart: { user, password }, phone: 'http://phone.localhost:8480' }),
  );
  expect(said).toContain('Sallyport is up.');
  expect(said).toContain(`npm run sallyport -- user enable ${user}`);
});

test('what is still there is what the status counts: nothing that was revoked', async () => {
  const server = createServer(({ url: path }, response) => {
    const isStatus = path === '/v1/status';
    response.statusCode = isStatus ? 200 : 500;
    response.end(JSON.stringify(isStatus ? { installations: 1, liveSessions: 0 } : { code: 'ERR_HTTP_INTERNAL' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const admin = adminOf({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ca: '', token: 'spo' });
  expect(await countKept(admin)).toEqual({ installations: 1, sessions: 0 });
  await admin.close();
  server.close();
});
