import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ownerOf } from '../src/security-host.ts';

test.skipIf(process.getuid?.() !== 0)(
  'as root a command works as the user whom the folder of Security belongs to',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
    expect(ownerOf(folder)).toEqual({ uid: 0, gid: 0 });
    chownSync(folder, 4_711, 815);
    expect(ownerOf(folder)).toEqual({ uid: 4_711, gid: 815 });
    rmSync(folder, { recursive: true });
    expect(ownerOf(folder)).toEqual({});
  },
);
