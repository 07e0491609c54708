import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { BackupTarget } from '../src/index.ts';

/** Content of a put, in pieces of their own. */
async function* pieces(...all: readonly (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const piece of all) yield Buffer.from(piece);
}

async function read(target: BackupTarget, path: string): Promise<Buffer> {
  const read: Uint8Array[] = [];
  for await (const bytes of target.get(path)) read.push(Buffer.from(bytes));
  return Buffer.concat(read);
}

const pathsOf = async (target: BackupTarget, folder: string): Promise<string[]> =>
  (await target.list(folder)).map(({ path }) => path);

/** What every target keeps; `begin` gives a place that is empty, and `open` another handle of it each time. */
export function targetContract(kind: string, begin: () => Promise<() => Promise<BackupTarget>>): void {
  const with2 = async (work: (one: BackupTarget, other: BackupTarget) => Promise<void>): Promise<void> => {
    const open = await begin();
    const [one, other] = [await open(), await open()];
    try {
      await work(one, other);
    } finally {
      await Promise.all([one.close(), other.close()]);
    }
  };

  test(`${kind}: an empty target has nothing`, () =>
    with2(async (target) => {
      expect(target.description).not.toBe('');
      expect(await target.list('')).toEqual([]);
      expect(await target.list('main')).toEqual([]);
      await expect(read(target, 'main/a/data.age')).rejects.toMatchObject({ code: 'ERR_TARGET_MISSING' });
      await target.remove('main/a/data.age');
    }));

  test(`${kind}: objects of any size come back byte by byte, from others too`, () =>
    with2(async (target, other) => {
      for (const size of [0, 1, 65_536, 3_000_001]) {
        const content = randomBytes(size);
        const middle = Math.floor(size / 3);
        await target.put(`main/a/${size}`, pieces(content.subarray(0, middle), '', content.subarray(middle)));
        expect((await read(other, `main/a/${size}`)).equals(content), `${size} bytes`).toBe(true);
      }
      const sizes = (await other.list('main')).map(({ bytes }) => bytes);
      expect(sizes.sort((a, b) => a - b)).toEqual([0, 1, 65_536, 3_000_001]);
    }));

  test(`${kind}: what was written is never overwritten`, () =>
    with2(async (target, other) => {
      await target.put('main/a/x', pieces('first'));
      await expect(other.put('main/a/x', pieces('second'))).rejects.toMatchObject({ code: 'ERR_TARGET_EXISTS' });
      expect(String(await read(target, 'main/a/x'))).toBe('first');
    }));

  test(`${kind}: an object is seen when it is whole, and a half one never`, () =>
    with2(async (target, other) => {
      const fault = new Error('the content ends');
      async function* broken(): AsyncIterable<Uint8Array> {
        yield randomBytes(200_000);
        expect(await other.list('')).toEqual([]);
        await expect(read(other, 'main/a/x')).rejects.toMatchObject({ code: 'ERR_TARGET_MISSING' });
        throw fault;
      }
      await expect(target.put('main/a/x', broken())).rejects.toBe(fault);
      expect(await other.list('')).toEqual([]);
      await target.put('main/a/x', pieces('whole'));
      expect(String(await read(other, 'main/a/x'))).toBe('whole');
    }));

  test(`${kind}: a listing has all objects below a folder in order, and none beside it`, () =>
    with2(async (target) => {
      const paths = ['main/b/manifest.json', 'main/a/data.age', 'main/a/README.txt', 'main2/a/x', 'main/journal/e/1'];
      for (const path of paths) await target.put(path, pieces(path));
      expect(await pathsOf(target, 'main')).toEqual([
        'main/a/README.txt',
        'main/a/data.age',
        'main/b/manifest.json',
        'main/journal/e/1',
      ]);
      expect(await pathsOf(target, 'main/journal')).toEqual(['main/journal/e/1']);
      expect(await pathsOf(target, '')).toHaveLength(5);
      expect((await target.list('main2'))[0]).toEqual({ path: 'main2/a/x', bytes: 9 });
    }));

  test(`${kind}: what is removed is gone, and its path may be used again`, () =>
    with2(async (target, other) => {
      await target.put('main/a/x', pieces('one'));
      await target.put('main/a/y', pieces('two'));
      await other.remove('main/a/x');
      await other.remove('main/a/x');
      expect(await pathsOf(target, 'main')).toEqual(['main/a/y']);
      await target.put('main/a/x', pieces('three'));
      expect(String(await read(other, 'main/a/x'))).toBe('three');
    }));

  test(`${kind}: a reader may stop early, and the next one reads all`, () =>
    with2(async (target) => {
      const content = randomBytes(2_000_000);
      await target.put('main/a/x', pieces(content));
      for await (const bytes of target.get('main/a/x')) {
        expect(bytes.length).toBeGreaterThan(0);
        break;
      }
      expect((await read(target, 'main/a/x')).equals(content)).toBe(true);
    }));

  test(`${kind}: an object is read from any of its bytes on`, () =>
    with2(async (target) => {
      const content = randomBytes(200_000);
      await target.put('main/a/x', pieces(content));
      for (const from of [0, 1, 32_768, 70_001, 199_999]) {
        const parts: Uint8Array[] = [];
        for await (const bytes of target.get('main/a/x', from)) parts.push(Buffer.from(bytes));
        expect(Buffer.concat(parts).equals(content.subarray(from)), `from ${from}`).toBe(true);
      }
    }));

  test(`${kind}: no path leads out of the target`, () =>
    with2(async (target) => {
      for (const path of ['', '/etc/x', '../x', 'a/../../x', 'a//b', 'a/', '.hidden/x', 'a\\b', 'a b', 'ä', 'a/.']) {
        await expect(target.put(path, pieces('x')), path).rejects.toThrow(TypeError);
        await expect(read(target, path), path).rejects.toThrow(TypeError);
        await expect(target.remove(path), path).rejects.toThrow(TypeError);
        if (path !== '') await expect(target.list(path), path).rejects.toThrow(TypeError);
      }
    }));
}
