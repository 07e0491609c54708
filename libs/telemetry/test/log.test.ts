import { expect, test } from 'vitest';
import { createLog, createMetrics } from '../src/index.ts';

test('fields that hold secrets are redacted on every level', () => {
  const lines: string[] = [];
  const log = createLog('test', 'info', { write: (line) => void lines.push(line) });
  log.info({ password: 'canary', user: { token: 'canary' }, a: { b: { authorization: 'canary' } } }, 'hello');
  expect(lines.join()).toContain('hello');
  expect(lines.join()).not.toContain('canary');
});

test('metrics render in the Prometheus format', async () => {
  const metrics = createMetrics();
  metrics.counter('things_total', 'things', ['kind']).inc({ kind: 'a' });
  metrics.gauge('level', 'a level', () => 7);
  const text = await metrics.render();
  expect(text).toContain('things_total{kind="a"} 1');
  expect(text).toContain('level 7');
});

test('a tally renders as the counter that it is, however often it is asked for', async () => {
  const metrics = createMetrics();
  const things = metrics.tally('things_total', 'things', ['kind']);
  const [a, b] = [things.labelled({ kind: 'a' }), things.labelled({ kind: 'b' })];
  a.count += 2;
  b.count += 1;
  expect(await metrics.render()).toContain('things_total{kind="a"} 2');
  a.count += 1;
  const text = await metrics.render();
  expect(text).toContain('# TYPE things_total counter');
  expect(text).toContain('things_total{kind="a"} 3');
  expect(text).toContain('things_total{kind="b"} 1');
});
