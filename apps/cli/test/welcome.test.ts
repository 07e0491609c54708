import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
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
