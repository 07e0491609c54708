import { Command } from 'commander';
import { expect, test } from 'vitest';
import { addCommandsFor, COMMAND_ROOMS } from '../src/command-rooms.ts';

const namesOf = (program: Command): string[] => program.commands.map((command) => command.name());

async function addedFor(words: readonly string[]): Promise<string[]> {
  const program = new Command('sallyport');
  await addCommandsFor(program, words);
  return namesOf(program);
}

test.each(COMMAND_ROOMS.map((room) => [room.words.join(', '), room] as const))(
  'a room adds what it is named for: %s',
  async (_, room) => {
    const program = new Command('sallyport');
    (await room.open())(program);
    expect(namesOf(program).sort()).toEqual([...room.words].sort());
  },
);

test('who names a command gets its room, wherever options stand, and who names none gets all', async () => {
  expect(await addedFor(['user', 'list'])).toEqual(['user', 'group']);
  expect(await addedFor(['--data', '/srv/data', '--json', 'node', 'list'])).toContain('node');
  const all = [...new Set(COMMAND_ROOMS.flatMap(({ words }) => words))].sort();
  for (const none of [[], ['--help'], ['usr', 'list']]) expect((await addedFor(none)).sort()).toEqual(all);
});
