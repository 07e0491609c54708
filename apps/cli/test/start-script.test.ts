import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAlive, scratchFolder, startCommand, waitFor } from '@sallyport/support';
import { expect, onTestFinished, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Stands in the place of what the script starts. */
const PROGRAM = `process.on('SIGTERM', () => setTimeout(() => { console.log('ended in order'); process.exit(); }, 100));
setInterval(() => undefined, 1_000);
console.log('up', process.pid);
`;

test.each([
  ['npm start', 'package.json', 'apps/cli/src/main.ts'],
  ['npm start -w apps/proxy', 'apps/proxy/package.json', 'src/main.ts'],
])('whoever ends the npm of %s ends what it runs, in order', async (_command, manifest, program) => {
  const folder = scratchFolder();
  const { start } = (JSON.parse(readFileSync(join(ROOT, manifest), 'utf8')) as { scripts: { start: string } }).scripts;
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', scripts: { start } }));
  mkdirSync(join(folder, dirname(program)), { recursive: true });
  writeFileSync(join(folder, program), PROGRAM);
  const environment = {
    PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
    npm_config_update_notifier: 'false',
  };
  const { child, output } = startCommand('npm', ['start'], { cwd: folder, environment });
  const pidOf = (): number => Number(/up (\d+)/.exec(output())?.[1] ?? 0);
  await waitFor(() => pidOf() > 0, 'what npm starts', output);
  const pid = pidOf();
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await waitFor(() => !isAlive(pid), 'the end of what npm has started', output);
  await ended;
  expect(output()).toContain('ended in order');
});
