import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type InlineConfig } from 'vite';

/**
 * Builds the phone page into `dist`: the shell, and in `dist/.sallyport` what is ours at the origins of resources. Each of those is one
 * script of its own; the one for documents becomes part of the service worker, with its hash.
 */
const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const COMMON = {
  configFile: false,
  // The list of public suffixes is for cookies of several hosts, which our jars do not have.
  resolve: { alias: { tldts: at('web/shell/no-public-suffixes.ts') } },
  logLevel: 'warn',
  build: { target: 'es2022', modulePreload: { polyfill: false }, sourcemap: false },
} satisfies InlineConfig;

/** Text of one script without imports. */
async function buildScript(entry: string, define: Readonly<Record<string, string>> = {}): Promise<string> {
  const lib = { entry: at(entry), formats: ['iife' as const], name: 'sallyport', fileName: 'script' };
  const config = { ...COMMON, root: at('web'), publicDir: false as const, define };
  const outputs = await build({ ...config, build: { ...COMMON.build, lib, write: false, minify: true } });
  const [output] = [outputs].flat() as { output: { code: string }[] }[];
  const text = output!.output[0]!.code.trim();
  if (text.includes('</script')) throw new Error(`${entry} cannot stand in a document`);
  return text;
}

async function writeScript(name: string, entry: string, define: Readonly<Record<string, string>> = {}): Promise<void> {
  mkdirSync(at('dist/.sallyport'), { recursive: true });
  writeFileSync(at(`dist/.sallyport/${name}`), await buildScript(entry, define));
}

rmSync(at('dist'), { recursive: true, force: true });
await build({ ...COMMON, root: at('web'), build: { ...COMMON.build, outDir: at('dist'), emptyOutDir: true } });
const pageScript = await buildScript('web/resource/page-script.ts');
const hash = `'sha256-${createHash('sha256').update(pageScript).digest('base64')}'`;
const define = { PAGE_SCRIPT: JSON.stringify(pageScript), PAGE_SCRIPT_HASH: JSON.stringify(hash) };
await writeScript('keeper.js', 'web/resource/keeper.ts');
await writeScript('open.js', 'web/resource/open.ts');
await writeScript('worker.js', 'web/resource/worker.ts', define);
for (const page of ['keeper.html', 'open.html']) cpSync(at(`web/resource/${page}`), at(`dist/.sallyport/${page}`));
