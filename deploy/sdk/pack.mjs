// Makes of a folder of the SDK a package that runs elsewhere, while `npm pack` packs it (docs/decisions/0033-the-sdk-is-built-when-it-is-packed.md).
// In the workspace Node runs the sources, so package.json names them; under node_modules Node takes no TypeScript.
//   begin (prepack): builds dist, and writes the package.json that goes out in place of the one that stands here.
//   end (postpack): puts that one back and leaves nothing behind. When a pack was interrupted, the next one does, or git.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** The package.json of the workspace, while the one that goes out stands in its place. */
const KEPT = '.tsbuild/package.json';
/** What a build makes. */
const MADE = ['dist', 'tsconfig.package.tsbuildinfo'];

/** A target of `exports`: for a source, what is built from it; with its types first, because the first condition that fits counts. */
function builtTarget(target) {
  if (typeof target !== 'string') {
    const [source] = Object.values(target);
    return { types: built(source, 'd.ts'), ...Object.fromEntries(Object.entries(target).map(builtCondition)) };
  }
  return target.startsWith('./src/') ? { types: built(target, 'd.ts'), default: built(target, 'js') } : target;
}

function builtCondition([condition, source]) {
  return [condition, built(source, 'js')];
}

function built(source, extension) {
  return source.replace('./src/', './dist/').replace(/\.ts$/, `.${extension}`);
}

/** The package.json that goes out: what is built in place of sources, and nothing that only the workspace uses. */
function outgoing({ private: _, nx, scripts, devDependencies, exports, ...rest }) {
  const targets = Object.entries(exports).map(([entry, target]) => [entry, builtTarget(target)]);
  return { ...rest, exports: Object.fromEntries(targets) };
}

function build() {
  for (const made of MADE) rmSync(made, { recursive: true, force: true });
  const { status } = spawnSync('tsc', ['-b', 'tsconfig.package.json'], { stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error('the package cannot be built');
  // The compiler rewrites what is imported in .js, but not in .d.ts. As long as before, so that the source maps still fit.
  for (const file of readdirSync('dist', { recursive: true }).filter((name) => name.endsWith('.d.ts'))) {
    const text = readFileSync(`dist/${file}`, 'utf8');
    writeFileSync(`dist/${file}`, text.replace(/((?:from |import\()['"]\.{1,2}\/[\w./-]+)\.ts(['"])/g, '$1.js$2'));
  }
}

function writtenOutgoing(text) {
  return `${JSON.stringify(outgoing(JSON.parse(text)), null, 2)}\n`;
}

/** Where somebody else has put it back, and maybe changed it since, what was kept is old. */
function putBack() {
  if (!existsSync(KEPT)) return;
  const replaced = readFileSync('package.json', 'utf8') === writtenOutgoing(readFileSync(KEPT, 'utf8'));
  if (replaced) renameSync(KEPT, 'package.json');
  else rmSync(KEPT);
}

function begin() {
  putBack();
  build();
  const text = readFileSync('package.json', 'utf8');
  mkdirSync('.tsbuild', { recursive: true });
  writeFileSync(KEPT, text);
  writeFileSync('package.json.new', writtenOutgoing(text));
  renameSync('package.json.new', 'package.json');
}

function end() {
  putBack();
  for (const made of MADE) rmSync(made, { recursive: true, force: true });
}

if (process.argv[2] === 'begin') begin();
else end();
