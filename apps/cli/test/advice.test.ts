import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { addCommandsFor } from '../src/command-rooms.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Options that stand before any command, as the program adds them, and the one that commander adds. */
const main = readFileSync(join(ROOT, 'apps/cli/src/main.ts'), 'utf8');
const ANYWHERE = [...main.matchAll(/\.option\('(--[a-z-]+)/g)].map(([, option]) => option!).concat('--help');

const program = new Command('sallyport');
await addCommandsFor(program, []);

function filesIn(folder: string, extension: string): string[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith(extension)).map((name) => join(folder, name));
}

const sources = ['apps', 'libs'].flatMap((floor) =>
  readdirSync(join(ROOT, floor)).flatMap((project) => filesIn(join(floor, project, 'src'), '.ts')),
);
/** What was decided once, and what has changed, may name what is no more. */
const documents = ['README.md', ...filesIn('docs', '.md').filter((name) => !name.startsWith('docs/decisions/'))];

test('options that stand before any command are found', () => {
  expect(ANYWHERE).toEqual(expect.arrayContaining(['--data', '--reason', '--help']));
});

/** What is wrong with a command as it is written somewhere; nothing where `sallyport` is just a word. */
function faultOf(written: string): string | undefined {
  const tokens = written.split(/[;)|<]|&&/)[0]!.split(/\s+/);
  let command: Command = program;
  for (const token of tokens.filter((one) => !one.startsWith('-'))) {
    const next = command.commands.find((one) => one.name() === token || one.aliases().includes(token));
    if (!next && command !== program && command.commands.length > 0 && /^[a-z][a-z-]*$/.test(token))
      return `${command.name()} has no ${token}`;
    if (!next) break;
    command = next;
  }
  if (command === program) return undefined;
  const known = [...ANYWHERE, ...command.options.map(({ long }) => long)];
  const named = tokens.map((token) => /^--[a-z][a-z-]*/.exec(token)?.[0]).filter((option) => option !== undefined);
  const unknown = named.find((option) => !known.includes(option));
  return unknown && `${command.name()} has no ${unknown}`;
}

/** Domains of keys are no commands, though they begin with the same word. */
const DOMAINS = ['kek parcel'];

test('commands that are advised exist, with their options', () => {
  const faults = [...sources, ...documents].flatMap((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8').replace(/\\\n\s*/g, '');
    const advised = [...text.matchAll(/(?<![\w@/.-])sallyport (?:-- )?([a-z][^`'"\n]*)/g)].map(
      ([, written]) => written!,
    );
    const wrong = advised.filter((written) => !DOMAINS.includes(written)).flatMap((written) => faultOf(written) ?? []);
    return wrong.map((fault) => `${file}: ${fault}`);
  });
  expect(faults).toEqual([]);
});
