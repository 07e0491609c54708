import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { runCommand, scratchFolder } from '@sallyport/support';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { build, createLogger } from 'vite';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import { PhoneBrowser } from '../src/phone-browser.ts';
import { installSdk, packSdk, readManifest, readTenLines, typeProblems } from '../src/sdk-packages.ts';

const [clone, app] = [scratchFolder(), scratchFolder()];
const backend = await startBackend();
const [gateway, packed] = await Promise.all([Gateway.start(), packSdk(clone)]);
await installSdk(app, packed);
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
afterAll(async () => {
  await gateway.stop();
  await backend.close();
  for (const folder of [clone, app]) rmSync(folder, { recursive: true, force: true });
});

/** What the ten lines leave to the app, for a user with a new link; and what the app makes of their end. */
async function appOf(lines: string, end: string): Promise<string> {
  return `import type { AppContext, DeviceErrorCode, DeviceState } from '@sallyport/device';
const appContext: AppContext = {
  id: 'an.app', version: '1.0.0', build: '1', signer: new Uint8Array(32), os: 'linux', osVersion: '6', osPatch: '', model: 'test',
  posture: { rooted: false }, sdk: 'packed',
};
const [linkFromQrCode, user, password] = [${JSON.stringify(await gateway.link('ada'))}, 'ada', ${JSON.stringify(PASSWORD)}];
const shown: string[] = [];
const showState = (state: DeviceState): void => void shown.push(state);
const showLogin = (code: DeviceErrorCode): void => void shown.push(code);
${lines}
const seen = JSON.stringify({ status: response.status, shown, resources: device.resources.map(({ authority }) => authority) });
${end}
`;
}

/** Types of an app: strict, and those of the packages are looked at, too. */
function writeConfig(name: string, options: object): string {
  const compilerOptions = { strict: true, noEmit: true, target: 'es2024', module: 'nodenext', skipLibCheck: false };
  const file = join(app, `tsconfig.${name}.json`);
  writeFileSync(file, JSON.stringify({ compilerOptions: { ...compilerOptions, ...options }, files: [`${name}.ts`] }));
  return file;
}

test('packing leaves the clone as it was, also after a pack that was interrupted', async () => {
  const step = async (name: 'begin' | 'end'): Promise<void> => {
    const command = `cd "$1" && PATH="../../node_modules/.bin:$PATH" node ../../deploy/sdk/pack.mjs ${name}`;
    expect(await runCommand('sh', ['-c', command, 'sh', packed.sources[0]!])).toMatchObject({ code: 0, stderr: '' });
  };
  await step('begin');
  expect(JSON.stringify(readManifest(packed.sources[0]!).exports)).toContain('./dist/');
  await step('begin');
  await step('end');
  for (const [i, name] of ['channel', 'device'].entries()) {
    const clone = fileURLToPath(new URL(`../../../libs/${name}`, import.meta.url));
    expect(readManifest(packed.sources[i]!)).toEqual(readManifest(clone));
    expect(existsSync(join(packed.sources[i]!, 'dist'))).toBe(false);
  }
  const manifest = join(packed.sources[0]!, 'package.json');
  const before = readFileSync(manifest, 'utf8');
  const later = before.replace(/"version": "[^"]+"/, '"version": "9.9.9"');
  await step('begin');
  // Git has put it back, and a commit has changed it since: what the interrupted pack kept is old.
  writeFileSync(manifest, later);
  await step('end');
  expect(readFileSync(manifest, 'utf8')).toBe(later);
  writeFileSync(manifest, before);
});

/** What a file of a package imports by a name of which there is no file. */
function lostNames(dist: string, file: string): string[] {
  const text = readFileSync(join(dist, file), 'utf8');
  const named = [...text.matchAll(/(?:from |import ?\(?)['"](\.[^'"]+)['"]/g)].map(([, name]) => name!);
  return named.filter((name) => !existsSync(join(dist, dirname(file), name))).map((name) => `${file}: ${name}`);
}

test('what is installed is whole: its licence, what its files name, and every source that a map leads to; no test went along', () => {
  const licence = readFileSync(new URL('../../../LICENSE', import.meta.url), 'utf8');
  for (const name of ['channel', 'device']) {
    const folder = join(app, 'node_modules/@sallyport', name);
    expect(readFileSync(join(folder, 'LICENSE'), 'utf8')).toBe(licence);
    expect(existsSync(join(folder, 'README.md'))).toBe(true);
    expect(existsSync(join(folder, 'test'))).toBe(false);
    const dist = join(folder, 'dist');
    const made = readdirSync(dist, { recursive: true, encoding: 'utf8' });
    const maps = made.filter((file) => file.endsWith('.map'));
    expect(made.filter((file) => /\.(?:ts|js)$/.test(file)).flatMap((file) => lostNames(dist, file))).toEqual([]);
    const sources = maps.flatMap((map) => {
      const { sources } = JSON.parse(readFileSync(join(dist, map), 'utf8')) as { readonly sources: readonly string[] };
      return sources.map((source) => join(dist, dirname(map), source));
    });
    expect(sources.length).toBeGreaterThan(40);
    for (const source of sources) expect(existsSync(source), source).toBe(true);
  }
  const { resolve } = createRequire(join(app, 'app.js'));
  expect(existsSync(resolve('@sallyport/channel/vectors/channel.json'))).toBe(true);
});

test('publint and attw find nothing wrong with what is packed', async () => {
  for (const file of packed.tarballs) {
    const tarball = readFileSync(file);
    const { messages, pkg } = await publint({ pack: { tarball: Uint8Array.from(tarball).buffer }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
    // As the profile esm-only of attw: `require`, and what knows no `exports`, get nothing.
    const { problems } = (await checkPackage(createPackageFromTarballData(tarball))) as {
      problems: { resolutionKind?: string }[];
    };
    expect(problems.filter(({ resolutionKind }) => !/^node10$|^node16-cjs$/.test(resolutionKind ?? ''))).toEqual([]);
  }
});

test('the ten lines of the guide run on Node outside of the repository, and go on from what they stored', async () => {
  const { node } = readTenLines();
  writeFileSync(join(app, 'node.ts'), await appOf(node, 'console.log(seen);\ndevice.close();'));
  const types = {
    types: ['node'],
    typeRoots: [fileURLToPath(new URL('../../../node_modules/@types', import.meta.url))],
  };
  expect(await typeProblems(writeConfig('node', { lib: ['es2024'], ...types }))).toBe('');
  const run = () => runCommand('sh', ['-c', 'cd "$1" && exec node node.ts', 'sh', app]);
  const first = await run();
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(first.stdout)).toMatchObject({ status: 200, resources: ['wiki.corp'] });
  expect(JSON.parse(first.stdout).shown.slice(0, 3)).toEqual(['signed-out', 'connecting', 'connected']);
  const again = JSON.parse((await run()).stdout);
  expect([again.status, ...again.shown.slice(0, 2)]).toEqual([200, 'connecting', 'connected']);
  expect(backend.requests[0]).toBe('GET /page');
  writeFileSync(join(app, 'common.cjs'), "console.log(typeof require('@sallyport/device/node').openDevice);");
  expect(await runCommand('node', [join(app, 'common.cjs')])).toEqual({ code: 0, stdout: 'function\n', stderr: '' });
});

test('bundled by vite they run in a browser, and nothing of Node goes along', async () => {
  const { browser } = readTenLines();
  writeFileSync(join(app, 'browser.ts'), await appOf(browser, 'document.body.textContent = seen;'));
  expect(await typeProblems(writeConfig('browser', { lib: ['es2024', 'dom', 'dom.iterable'], types: [] }))).toBe('');
  writeFileSync(
    join(app, 'index.html'),
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="browser.ts"></script>',
  );
  expect(await bundle('index.html')).toEqual([]);
  const site = await serve(join(app, 'built'));
  const phone = await PhoneBrowser.start();
  try {
    const page = await phone.page();
    await page.goto(site.url);
    await page.getByText('"status":200').waitFor();
    expect(JSON.parse((await page.textContent('body'))!)).toMatchObject({ resources: ['wiki.corp'] });
    await page.reload();
    await page.getByText('"shown":["connecting","connected"').waitFor();
    expect(phone.problems).toEqual([]);
  } finally {
    await phone.close();
    site.close();
  }
});

test('a bundle for browsers does not build with the entry for Node', async () => {
  writeFileSync(join(app, 'wrong.js'), "import '@sallyport/device/node';");
  await expect(bundle('wrong.js')).rejects.toThrow(/"\.\/node" is not exported under the conditions/);
});

/** Bundles what begins with a file of the app, for browsers; gives what vite warns of. */
async function bundle(input: string): Promise<string[]> {
  const said: string[] = [];
  const warn = (text: string): void => void said.push(text);
  const customLogger = { ...createLogger('silent'), warn, warnOnce: warn };
  const options = { outDir: 'built', rollupOptions: { input: join(app, input) } };
  await build({ root: app, configFile: false, logLevel: 'warn', customLogger, build: options });
  return said;
}

const TYPES: Readonly<Record<string, string>> = { js: 'text/javascript', html: 'text/html' };

/** Serves the files of a folder. */
async function serve(folder: string): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const path = request.url === '/' ? '/index.html' : request.url!;
    response.setHeader('content-type', TYPES[path.split('.').at(-1)!] ?? 'application/octet-stream');
    response.end(readFileSync(join(folder, path)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => void server.close() };
}
