import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runCommand, scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { bundlePrograms, PROGRAM_LIST } from '../src/programs/bundle.ts';
import { ROOT } from '../src/source.ts';

const HOOK = pathToFileURL(join(ROOT, 'deploy/packing/src/programs/from-bundle.mjs'));

/** Two programs that share a module, and tell where they find themselves. */
function writeProgram(root: string): void {
  mkdirSync(join(root, 'apps/a b/src'), { recursive: true });
  const at = (file: string): string => join(root, 'apps/a b/src', file);
  writeFileSync(
    at('place.ts'),
    'export const place: string[] = [import.meta.url, import.meta.dirname, import.meta.filename];',
  );
  for (const name of ['one', 'two'])
    writeFileSync(
      at(`${name}.ts`),
      `import { place } from './place.ts';\nconsole.log(JSON.stringify({ ${name}: place, at: new Error().stack.split('\\n')[1] }));`,
    );
}

test('a program that was bundled finds its files where its sources lie', async () => {
  const root = scratchFolder();
  writeProgram(root);
  const into = join(root, 'made');
  const entries = ['apps/a b/src/one.ts', 'apps/a b/src/two.ts'];
  await bundlePrograms(root, entries, into);
  const programs = JSON.parse(readFileSync(join(into, PROGRAM_LIST), 'utf8'));
  expect(Object.keys(programs).sort()).toEqual(entries.map((entry) => `../${entry}`));
  const file = join(root, 'apps/a b/src/place.ts');
  for (const [number, name] of ['one', 'two'].entries()) {
    const { stdout } = await runCommand(process.execPath, [join(into, programs[`../${entries[number]}`])]);
    expect(JSON.parse(stdout)[name]).toEqual([pathToFileURL(file).href, join(root, 'apps/a b/src'), file]);
  }
});

test('Node starts the bundle in place of the source, and the sources when a rule is left out', async () => {
  const root = scratchFolder();
  writeProgram(root);
  const entry = 'apps/a b/src/one.ts';
  await bundlePrograms(root, [entry], join(root, 'made'));
  const hook = new URL(HOOK);
  hook.searchParams.set('programs', join(root, 'made', PROGRAM_LIST));
  const started = async (environment: NodeJS.ProcessEnv): Promise<string> => {
    const options = { environment: { NODE_OPTIONS: `--import=${hook.href}`, ...environment } };
    const { stdout } = await runCommand(process.execPath, [join(root, entry)], options);
    return JSON.parse(stdout).at;
  };
  expect(await started({})).toContain(pathToFileURL(join(root, 'made')).href);
  expect(await started({ RIG_WITHOUT: 'a rule' })).toContain(pathToFileURL(join(root, entry)).href);
});
