import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePort, freePorts } from '../src/ports.ts';

test('no port is given twice, nor one on which somebody listens, and a row has no gap', async () => {
  const first = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(first + 3, '127.0.0.1', resolve));
  const row = await freePorts(5);
  const next = await freePort();
  server.close();
  expect([first, first + 1, first + 2, first + 3]).not.toContain(row);
  expect(next < row || next >= row + 5).toBe(true);
  for (const port of [first, row, next]) expect(port).toBeLessThan(32_768);
});
