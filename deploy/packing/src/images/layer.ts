import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { USER_ID } from './system.ts';

/** A layer of an image: its archive as it is stored, and the hash of what is in it. */
export interface Layer {
  readonly bytes: Buffer;
  /** SHA-256 of the archive before it was compressed: `diff_id`. */
  readonly diffId: string;
}

const MAX_LAYER_BYTES = 1_073_741_824;

/**
 * Packs a folder so that the same content gives the same bytes: sorted, of one time (epoch s), owned by root, written by nobody
 * else. `open` are folders that belong to the user of the image.
 */
export function packLayer(folder: string, seconds: number, open: readonly string[] = []): Layer {
  const common = ['--format=gnu', '--numeric-owner', `--mtime=@${seconds}`, '--sort=name', '--create', '--file=-'];
  const owned = (owner: number, mode: string): string[] => [`--owner=${owner}`, `--group=${owner}`, `--mode=${mode}`];
  const excluded = open.map((path) => `--exclude=./${path}`);
  const tar = execFileSync('tar', [...common, ...owned(0, 'u+rwX,go+rX,go-w'), ...excluded, '-C', folder, '.'], {
    maxBuffer: MAX_LAYER_BYTES,
  });
  const rest = open.length === 0 ? [] : [packOpen(folder, [...common, ...owned(USER_ID, '0750')], open)];
  const whole = Buffer.concat([...(rest.length > 0 ? [withoutEnd(tar)] : [tar]), ...rest]);
  return { bytes: gzipSync(whole, { level: 6 }), diffId: sha256(whole) };
}

function packOpen(folder: string, options: readonly string[], open: readonly string[]): Buffer {
  return execFileSync('tar', [...options, '--no-recursion', '-C', folder, ...open.map((path) => `./${path}`)], {
    maxBuffer: MAX_LAYER_BYTES,
  });
}

/** An archive without the empty blocks at its end, so that another one may follow. */
function withoutEnd(tar: Buffer): Buffer {
  let end = tar.length;
  while (end >= 512 && tar.subarray(end - 512, end).every((byte) => byte === 0)) end -= 512;
  return tar.subarray(0, end);
}

/** SHA-256, hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
