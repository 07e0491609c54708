import { execFileSync } from 'node:child_process';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isIsolated, runIsolated } from '@sallyport/support';
import { ROOT } from '../source.ts';
import { areBuilt, type BuiltImage, buildImages } from './build.ts';
import { tryFarm } from './try.ts';

const HELP = `npm run images -- [try] [--out FOLDER] [--twice] [--as-built]

  (nothing)  builds the images; --twice: and once more, to see that the same comes out
  try        brings up a small farm of them by "podman kube play", and lets a device read a page through it: builds those that are
             missing or of another commit (--as-built: takes those that lie there). Root, and the Debian packages podman, runc,
             catatonit, postgresql and redis-server
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: join(ROOT, 'dist', 'images') },
    twice: { type: 'boolean', default: false },
    'as-built': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const MIB = 1_048_576;
const out = resolve(values.out);

function say(text: string): void {
  process.stdout.write(`images: ${text}\n`);
}

function show({ reference, digest, size }: BuiltImage): void {
  say(`${reference}  ${(size / MIB).toFixed(0)} MiB  ${digest}`);
}

function build(): BuiltImage[] {
  const built = buildImages(out, say);
  for (const image of built) show(image);
  return built;
}

function buildTwice(): void {
  const built = build();
  say('once more, to see that the same comes out …');
  const again = buildImages(`${out}.again`, () => undefined);
  const other = again.filter(({ digest }, i) => digest !== built[i]!.digest);
  for (const { reference } of other) say(`${reference} is not the same the second time`);
  process.exitCode = other.length === 0 ? 0 : 1;
  if (other.length === 0) say('the same digests');
}

async function tryImages(): Promise<void> {
  if (!isIsolated()) {
    // Building wants the network of this machine, and the farm one of its own.
    if (!(values['as-built'] || areBuilt(out))) build();
    return runIsolated();
  }
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  await tryFarm({ images: out, say });
  process.exit();
}

function buildAndTell(): void {
  if (values.twice) buildTwice();
  else build();
  const place = relative(process.cwd(), out) || '.';
  say(`they are in ${place}; podman takes one by: podman load -i ${place}/proxy.tar`);
}

if (values.help || (positionals[0] ?? 'try') !== 'try') process.stdout.write(HELP);
else if (positionals[0] === 'try') await tryImages();
else buildAndTell();
