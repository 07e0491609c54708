import { createLog, createMetrics } from '@sallyport/telemetry';
import { expect, test } from 'vitest';
import { addHealthRoutes, createMetricsService, createService, ProblemError } from '../src/index.ts';

function service() {
  const lines: string[] = [];
  const state = { ready: true };
  const options = {
    log: createLog('test', 'info', { write: (line) => void lines.push(line) }),
    ready: () => state.ready,
  };
  const app = createService(options);
  addHealthRoutes(app, options);
  app.get('/problem', () => {
    throw new ProblemError('ERR_SECURITY_TOKEN', 'a used token');
  });
  app.get('/other-status', () => {
    throw new ProblemError('ERR_SECURITY_OPERATOR', 'no operator', 403);
  });
  app.get('/known', () => {
    throw Object.assign(new Error('taken'), { code: 'ERR_STORE_CONFLICT' });
  });
  app.get('/library', () => {
    throw Object.assign(new Error('secret detail'), { code: 'toString' });
  });
  app.get('/down', () => {
    throw Object.assign(new Error('secret detail'), { code: 'ERR_STORE_UNAVAILABLE' });
  });
  app.get('/crash', () => {
    throw new Error('secret detail');
  });
  return { app, state, lines };
}

test.each([
  ['/problem', 403, 'ERR_SECURITY_TOKEN', 'a used token'],
  ['/other-status', 403, 'ERR_SECURITY_OPERATOR', 'no operator'],
  ['/known', 409, 'ERR_STORE_CONFLICT', 'taken'],
  ['/down', 503, 'ERR_STORE_UNAVAILABLE', 'the database does not answer; nothing was done'],
  ['/library', 500, 'ERR_HTTP_INTERNAL', 'something went wrong on our side'],
  ['/crash', 500, 'ERR_HTTP_INTERNAL', 'something went wrong on our side'],
  ['/nowhere', 404, 'ERR_HTTP_NOT_FOUND', 'there is nothing here'],
])('%s answers %i as problem+json without inner detail', async (url, status, code, title) => {
  const answer = await service().app.inject({ url });
  expect(answer.statusCode).toBe(status);
  expect(answer.headers['content-type']).toContain('application/problem+json');
  expect(answer.json()).toMatchObject({ status, code, title });
});

test('readiness answers 404 while it drains, health stays', async () => {
  const { app, state } = service();
  expect((await app.inject({ url: '/readyz' })).statusCode).toBe(200);
  state.ready = false;
  expect((await app.inject({ url: '/readyz' })).statusCode).toBe(404);
  expect((await app.inject({ url: '/healthz' })).statusCode).toBe(200);
  expect((await app.inject({ url: '/metrics' })).statusCode).toBe(404);
});

test('metrics are shown by their own listener, which shows nothing else', async () => {
  const log = createLog('test', 'info', { write: () => undefined });
  const metrics = createMetricsService({ log, metrics: createMetrics() });
  expect((await metrics.inject({ url: '/metrics' })).body).toContain('process_cpu');
  for (const url of ['/healthz', '/readyz', '/v1/status']) expect((await metrics.inject({ url })).statusCode).toBe(404);
});

test('how a server stands is told from the beginning of its start, and what it waits for where it is watched', async () => {
  const log = createLog('test', 'info', { write: () => undefined });
  const state = { ready: false, words: 'the database' as string | undefined };
  const standing = { ready: () => state.ready, waitsFor: () => state.words };
  const watched = createMetricsService({ log, metrics: createMetrics(), standing });
  const asked = await watched.inject({ url: '/readyz' });
  expect([asked.statusCode, asked.json()]).toEqual([404, { status: 'not ready', waitsFor: 'the database' }]);
  expect((await watched.inject({ url: '/healthz' })).statusCode).toBe(200);
  state.words = undefined;
  expect((await watched.inject({ url: '/readyz' })).json()).toEqual({ status: 'not ready' });
  state.ready = true;
  expect((await watched.inject({ url: '/readyz' })).json()).toEqual({ status: 'ready' });
});
