import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assertTakenOver, beginTakingOver, endTakingOver, readTakingOver } from '../../src/stores/taking-over.ts';

test('no server starts on a folder whose site has half taken over, and the next try knows of which epoch it was', () => {
  const folder = { SALLYPORT_DATA: mkdtempSync(join(tmpdir(), 'sallyport-test-')) };
  mkdirSync(join(folder.SALLYPORT_DATA, 'security'));
  assertTakenOver(folder);
  beginTakingOver(folder, { epoch: 'a'.repeat(32) });
  expect(readTakingOver(folder)).toEqual({ epoch: 'a'.repeat(32) });
  expect(() => assertTakenOver(folder)).toThrow('sallyport standby takeover');
  endTakingOver(folder);
  assertTakenOver(folder);
  rmSync(folder.SALLYPORT_DATA, { recursive: true });
});
