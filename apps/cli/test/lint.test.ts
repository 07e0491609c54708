import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLI, runCommand, scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const folder = scratchFolder();

test('the command names file and line, and its exit status tells errors from warnings', async () => {
  const file = join(folder, 'proxy.env');
  writeFileSync(file, 'SALLYPORT_DATA=/var/lib/p\nSALLYPORT_LISTENS=x\n', { mode: 0o600 });
  const wrong = await runCommand(process.execPath, [CLI, 'lint', file]);
  expect(wrong.stdout).toContain(`${file}:2: error: SALLYPORT_LISTENS`);
  expect(wrong.code).toBe(2);
  writeFileSync(file, 'SALLYPORT_DATA=/var/lib/p\nSALLYPORT_LOG_LEVEL=debug\n');
  const question = await runCommand(process.execPath, [
    CLI,
    '--json',
    'lint',
    file,
    join(ROOT, 'deploy/kubernetes/values/one-node.yaml'),
  ]);
  expect(JSON.parse(question.stdout)).toMatchObject([{ line: 2, severity: 'warning' }]);
  expect(question.code).toBe(1);
});

test('a file of resources is judged, each fault with the line of its resource', async () => {
  const file = join(folder, 'resources.yaml');
  const wiki = '  wiki:\n    authority: wiki.corp\n    backend: {url: "http://10.1.2.3"}\n';
  writeFileSync(
    file,
    `resources:\n  news:\n    authority: news.example\n    backend: {url: "https://news.example.com"}\n${wiki}`,
  );
  const { stdout, code } = await runCommand(process.execPath, [CLI, '--json', 'lint', file]);
  expect(JSON.parse(stdout)).toMatchObject([
    { line: 6, severity: 'error', what: expect.stringMatching(/^wiki: no Proxy/) },
  ]);
  expect(code).toBe(2);
});

test('what a unit runs before a server ends the start with words, or is silent', async () => {
  for (const server of ['security', 'proxy']) {
    const program = join(ROOT, 'apps', server, 'src/lint.ts');
    const start = (more: object) =>
      runCommand(process.execPath, [program], { environment: { SALLYPORT_DATA: folder, ...more } });
    const [wrong, right] = await Promise.all([start({ SALLYPORT_METRICS_LISTEN: '0.0.0.0:1' }), start({})]);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toMatch(/SALLYPORT_METRICS_LISTEN: whoever reaches this host reads the metrics/);
    expect(right).toMatchObject({ stderr: expect.not.stringContaining('METRICS') });
  }
});
