import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../source.ts';
import { type BuiltImage, buildImages } from './build.ts';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(ROOT, 'dist', 'images') },
    twice: { type: 'boolean', default: false },
  },
});
const MIB = 1_048_576;

function say(text: string): void {
  process.stdout.write(`images: ${text}\n`);
}

function show({ reference, digest, size }: BuiltImage): void {
  say(`${reference}  ${(size / MIB).toFixed(0)} MiB  ${digest}`);
}

const out = resolve(values.out);
const built = buildImages(out, say);
for (const image of built) show(image);
if (values.twice) {
  say('once more, to see that the same comes out …');
  const again = buildImages(`${out}.again`, () => undefined);
  const other = again.filter(({ digest }, i) => digest !== built[i]!.digest);
  for (const { reference } of other) say(`${reference} is not the same the second time`);
  process.exitCode = other.length === 0 ? 0 : 1;
  if (other.length === 0) say('the same digests');
}
const place = relative(process.cwd(), out) || '.';
say(`they are in ${place}; podman takes one by: podman load -i ${place}/proxy.tar`);
