import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { AppProcess } from '../src/app-process.ts';

/** A project with one server, which runs this program. */
function projectWith(program: string): string {
  const project = scratchFolder();
  const app = join(project, 'apps', 'slow');
  mkdirSync(join(app, 'src'), { recursive: true });
  writeFileSync(join(app, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(app, 'src', 'main.ts'), program);
  return project;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a server that is not ready in time is ended before the failure is said', async () => {
  const project = projectWith(`
    import { writeFileSync } from 'node:fs';
    writeFileSync(new URL('../pid', import.meta.url), String(process.pid));
    console.log('waiting for something');
    setInterval(() => undefined, 1000);
  `);
  const pidFile = join(project, 'apps', 'slow', 'pid');
  const started = AppProcess.start('slow', { project, environment: {}, startTimeoutMs: 10_000 });
  await expect(started).rejects.toThrow(/^slow did not start: it is not ready after 10 s\n/);
  // On a machine so busy that it had not begun yet, it never does.
  const begun = existsSync(pidFile);
  expect(begun && isAlive(Number(readFileSync(pidFile, 'utf8')))).toBe(false);
});

test('a server that ends before it is ready is said with its code and its log', async () => {
  const project = projectWith(`console.error('the port is taken'); process.exitCode = 3;`);
  await expect(AppProcess.start('slow', { project, environment: {} })).rejects.toThrow(
    /^slow did not start: it ended with 3\nthe port is taken/,
  );
});
