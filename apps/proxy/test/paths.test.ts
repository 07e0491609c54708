import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type AppContext, encodeMessageEnd, encodeRequestHead, type SignedCode } from '@sallyport/channel';
import type { AccessRule, Grant, ResourceGrant } from '@sallyport/security-api';
import { afterAll, expect, test } from 'vitest';
import { HOSTILE_PATHS } from '../../../libs/channel/test/hostile.ts';
import { type TestReset, testStream } from '../../../libs/channel/test/lone-stream.ts';
import { hasShared, readShared, readSharedText } from '../../../libs/channel/test/third-party.ts';
import { type Decision, decide, type Wanted } from '../src/serving/rights.ts';
import type { StreamHost } from '../src/streams/exchange.ts';
import { HttpExchange } from '../src/streams/http.ts';
import { TestHost } from './stream-place.ts';

/** A backend that notes the first line of each request, byte for byte. */
const lines: string[] = [];
const server = createServer((socket: Socket) => {
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    text += data.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
      lines.push(text.slice(0, text.indexOf('\r\n')));
      text = text.slice(end + 4);
      socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    }
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const backend = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, networks: ['127.0.0.0/8'] };
const plain = new TestHost(backend);
afterAll(() => {
  plain.backends.close();
  server.close();
});

const CONTEXT = { id: 'app', version: '1', posture: {} } as unknown as AppContext;
const CLAIMS = { evidence: undefined, context: CONTEXT, address: '192.0.2.7' };
const RULES: Readonly<Record<string, AccessRule[]>> = {
  'no rule for paths': [{ policy: 'all', context: {} }],
  'a rule for /app': [{ policy: 'app', context: {}, paths: ['/app'] }],
  'rules for two prefixes': [
    { policy: 'a', context: {}, paths: ['/app/', '/files'] },
    { policy: 'b', context: {}, paths: ['/@corp%2F', '/@corp/'] },
  ],
};

interface Outcome {
  readonly path: string;
  /** What the backend saw of it; undefined when it was refused. */
  readonly line: string | undefined;
  readonly code: string;
  readonly words: string;
}

/** Sends one request and gives what became of it. */
async function send(path: string, paths: 'strict' | 'exact', rules: AccessRule[]): Promise<Outcome> {
  const resource: ResourceGrant = {
    name: 'wiki',
    kind: 'http',
    authority: 'wiki.corp',
    backend: { ...backend, paths },
    rules,
  };
  const grant = { context: {}, resources: [resource] } as unknown as Grant;
  const before = lines.length;
  return new Promise((resolve) => {
    const over = {
      decide: (wanted: Wanted): Decision => decide(grant, CLAIMS, wanted),
      count: (_kind: string, outcome: 'done' | SignedCode) => {
        if (outcome === 'done') resolve({ path, line: lines.slice(before).join('|'), code: outcome, words: '' });
      },
    };
    const host = Object.assign(Object.create(plain) as StreamHost, over);
    const heard = (reset: TestReset): void => resolve({ path, line: lines[before], ...reset });
    const { stream } = testStream(1, { heard });
    const sink = new HttpExchange({ host, stream });
    stream.sink = sink;
    sink.data(encodeRequestHead({ method: 'GET', scheme: 'http', authority: 'wiki.corp', path, fields: [] }));
    sink.data(encodeMessageEnd());
  });
}

/** Whatever the rules, some path reaches the backend. */
const HONEST_PATHS = ['/app/page', '/files/page', '/@corp/page'];

/** Every path of the corpora, with and without a prefix; those with characters beyond a byte cannot be sent at all. */
function corpus(): string[] {
  const cases = hasShared ? readCases() : [];
  const own = hasShared ? readShared<string[]>('corpora/paths/own-paths.json') : [];
  const known = hasShared ? readSharedText('corpora/paths/traversal-unique.txt').split('\n').filter(Boolean) : [];
  const all = [
    ...HONEST_PATHS,
    ...HOSTILE_PATHS,
    ...own,
    ...cases,
    ...known.flatMap((line) => [line, `/${line}`, `/app/${line}`]),
  ];
  return all.map((path) => Buffer.from(path, 'utf8').toString('latin1'));
}

function readCases(): string[] {
  const cases = readShared<{ path: string }[]>('cases/paths.json');
  return cases.map(({ path }) => path);
}

test.each(Object.keys(RULES).flatMap((name) => [[name, 'strict'] as const, [name, 'exact'] as const]))(
  'what goes out is what came in, or it is refused and the rule named: %s, %s paths',
  async (name, paths) => {
    const odd: Outcome[] = [];
    let passed = 0;
    for (const path of corpus()) {
      const outcome = await send(path, paths, RULES[name]!);
      const exactly = outcome.code === 'done' && outcome.line === `GET ${path} HTTP/1.1`;
      const named = outcome.code === 'REQUEST_REFUSED' && outcome.line === undefined && outcome.words.length > 10;
      if (!exactly && !named) odd.push(outcome);
      if (exactly) passed += 1;
    }
    expect(odd).toEqual([]);
    expect(passed).toBeGreaterThan(0);
  },
);

test.runIf(hasShared)('every case from the field reaches a backend whose resource takes exact paths', async () => {
  for (const path of readCases()) {
    expect(await send(path, 'exact', RULES['no rule for paths']!)).toMatchObject({ line: `GET ${path} HTTP/1.1` });
  }
});
