import { TargetError } from '../src/errors.ts';
import type { BackupTarget, TargetObject } from '../src/index.ts';

/** A target in memory that keeps the contract, until it is told to lie or to fail. */
export class LyingTarget implements BackupTarget {
  readonly description: string = 'a target';
  readonly objects: Map<string, Buffer> = new Map();
  /** Paths that it takes and does not keep. */
  loses: (path: string) => boolean = () => false;
  /** What it gives instead. */
  gives: (path: string, content: Buffer) => Buffer = (_path, content) => content;
  /** What it lists and does not have. */
  phantoms: readonly string[] = [];
  /** Called before each change; may throw, as if the process had ended there. */
  before: (work: 'put' | 'remove', path: string) => void | Promise<void> = () => undefined;

  async put(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const pieces: Uint8Array[] = [];
    for await (const piece of content) pieces.push(piece);
    await this.before('put', path);
    if (this.objects.has(path)) throw new TargetError('ERR_TARGET_EXISTS', `${path} is there`);
    if (!this.loses(path)) this.objects.set(path, Buffer.concat(pieces));
  }

  async *get(path: string, from = 0): AsyncIterable<Uint8Array> {
    const content = this.objects.get(path);
    if (!content) throw new TargetError('ERR_TARGET_MISSING', `there is no ${path}`);
    yield this.gives(path, content).subarray(from);
  }

  async list(folder: string): Promise<readonly TargetObject[]> {
    const all = [...this.objects].map(([path, { length }]) => ({ path, bytes: length }));
    const phantoms = this.phantoms.map((path) => ({ path, bytes: 1 }));
    const inside = [...all, ...phantoms].filter(({ path }) => folder === '' || path.startsWith(`${folder}/`));
    return inside.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async remove(path: string): Promise<void> {
    await this.before('remove', path);
    this.objects.delete(path);
  }

  async close(): Promise<void> {}
}
