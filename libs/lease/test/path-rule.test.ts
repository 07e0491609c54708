import { posix, win32 } from 'node:path';
import { checkPath, pathUnder } from '@sallyport/channel';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { HOSTILE_PATHS } from '../../channel/test/hostile.ts';
import { hasShared, readShared, readSharedText } from '../../channel/test/third-party.ts';
import { READING_STEPS } from '../src/path-readings.ts';
import { judgePath } from '../src/path-rule.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
console.log(`seed ${seed} (repeat with SEED=${seed})`);

/** Ways in which real servers read a path, written apart from the steps of the judge. Paths hold bytes as characters. */
const READERS: Readonly<Record<string, (path: string) => string>> = {
  'as it stands': (path) => path,
  'RFC 3986': (path) => new URL(path.replace(/^\/+/, '/'), 'http://h').pathname,
  'a URL parser that takes // for a host': (path) => URL.parse(path, 'http://h')?.pathname ?? '/',
  'a URL parser behind one decoding': (path) => URL.parse(lenient(path), 'http://h')?.pathname ?? '/',
  'decode, then normalise (nginx, Express)': (path) => posix.normalize(lenient(path)),
  'normalise, then decode': (path) => lenient(posix.normalize(path)),
  'decode twice, then normalise': (path) => posix.normalize(lenient(lenient(path))),
  'decode three times, then normalise': (path) => posix.normalize(lenient(lenient(lenient(path)))),
  'Windows: both slashes, spaces and dots at the end': (path) =>
    win32
      .normalize(windows(lenient(path)))
      .replaceAll('\\', '/')
      .replace(/^[a-z]:/i, ''),
  'Windows behind two decodings': (path) => win32.normalize(lenient(lenient(path))).replaceAll('\\', '/'),
  'Tomcat: parameters off, decode, normalise': (path) => posix.normalize(lenient(path.replace(/;[^/]*/g, ''))),
  'parameters off after decoding': (path) => posix.normalize(lenient(path).replace(/;[^/]*/g, '')),
  'Tomcat that lets encoded slashes pass': (path) =>
    lenient(posix.normalize(lenient(path.replaceAll(/%2f/gi, '%252f').replace(/;[^/]*/g, '')))),
  'a C program: ends at NUL': (path) => posix.normalize(lenient(path).split('\0')[0]!),
  'a program that reads a query behind its decoding': (path) => posix.normalize(lenient(path).split(/[?#]/)[0]!),
  'IIS: overlong and look-alikes': (path) =>
    win32.normalize(Buffer.from(lenient(path), 'latin1').toString('utf8').normalize('NFKC')).replaceAll('\\', '/'),
  'Node that writes Latin-1': (path) =>
    posix.normalize(Buffer.from(Buffer.from(lenient(path), 'latin1').toString('utf8'), 'latin1').toString('latin1')),
  'Go that narrows runes': (path) => posix.normalize(narrow(lenient(path))),
  'Windows that writes what fits best': (path) => win32.normalize(bestFit(lenient(path))).replaceAll('\\', '/'),
  'NTFS with streams': (path) => posix.normalize(lenient(path).replace(/:[^/]*/g, '')),
  'a filter that takes ../ out once': (path) => posix.normalize(lenient(path).replaceAll('../', '')),
  'a filter of control characters': (path) => posix.normalize(lenient(path).replace(/[^\x20-\x7e]/g, '')),
  'a form decoder, then a trim of each name': (path) =>
    posix.normalize(
      lenient(path)
        .replaceAll('+', ' ')
        .split('/')
        .map((name) => name.trim())
        .join('/'),
    ),
};

/** Decodes every escape that is one, as bytes, and leaves the rest. */
function lenient(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function narrow(path: string): string {
  const characters = [...Buffer.from(path, 'latin1').toString('utf8')];
  return characters.map((character) => String.fromCharCode(character.codePointAt(0)! % 256)).join('');
}

function bestFit(path: string): string {
  return Buffer.from(path, 'latin1')
    .toString('utf8')
    .replace(/[\u2044\u2215]/g, '/')
    .replace(/[\u2216\u00a5\u20a9]/g, '\\');
}

function windows(path: string): string {
  return path
    .split(/[\\/]/)
    .map((name) => (/^\.\.?$/.test(name) ? name : name.replace(/[. ]+$/, '')))
    .join('\\');
}

/** The readers that see a path outside of a prefix. */
function readersOutside(path: string, prefix: string): string[] {
  const plain = path.split('?', 1)[0]!;
  const outside = Object.entries(READERS).filter(([, read]) => {
    const seen = read(plain);
    const whole = seen.startsWith('/') ? seen : `/${seen}`;
    return !(whole === prefix || whole.startsWith(`${prefix}/`));
  });
  return outside.map(([name]) => name);
}

function passes(path: string, grammar: 'strict' | 'exact'): boolean {
  try {
    checkPath(path, grammar);
    return true;
  } catch {
    return false;
  }
}

test.each<[path: string, prefixes: string[], verdict: string]>([
  ['/api/v4/projects/group%2Fproject', ['/api/v4/projects'], 'inside'],
  ['/api/v4/projects/group%2fproject/issues?x=/../', ['/api'], 'inside'],
  ['/@corp%2fpkg', ['/'], 'inside'],
  ['/@corp%2fpkg', ['/@corp'], 'outside'],
  ['/@corp%2fpkg', ['/@corp%2F'], 'inside'],
  ['/@corp%2fpkg', ['/@corp/', '/@corp%2F'], 'inside'],
  ['/@other%2fpkg', ['/@corp%2F'], 'outside'],
  ['/@corp%2f..%2f@other', ['/@corp%2F'], 'differs'],
  ['/api/queues/%2F/orders', ['/api/queues'], 'inside'],
  ['/api/queues/%2F/orders', ['/api/queues/%2F'], 'outside'],
  ['/files/100%25.pdf', ['/files'], 'inside'],
  ['/files/a%20b/%C3%BCber%E2%80%8B', ['/files'], 'inside'],
  ['/%C3%9Cber/uns', ['/%C3%9Cber'], 'inside'],
  ['/%c3%9cber/uns', ['/%C3%9Cber'], 'inside'],
  ['/files/a//b', ['/files'], 'inside'],
  ['/files/a/../b', ['/files'], 'inside'],
  ['/files/a;v=1/b', ['/files'], 'inside'],
  ['/files/%FF%FE', ['/files'], 'inside'],
  ['/files/../admin', ['/files'], 'differs'],
  ['/files/../admin', ['/files', '/admin'], 'inside'],
  ['/files/..%2fadmin', ['/files'], 'differs'],
  ['/files/%252e%252e%252fadmin', ['/files'], 'differs'],
  ['/files/..;/admin', ['/files'], 'differs'],
  ['/files/..%00/admin', ['/files'], 'differs'],
  ['/files/%2e%2e%5cadmin', ['/files'], 'differs'],
  ['/files/%c0%ae%c0%ae/admin', ['/files'], 'differs'],
  ['/files/%C4%AE%C4%AE/admin', ['/files'], 'differs'],
  ['/files/..%ef%bc%8fadmin', ['/files'], 'differs'],
  ['/files/.%e2%80%8b./admin', ['/files'], 'differs'],
  ['/files/..+/admin', ['/files'], 'differs'],
  ['/files/...%2e/admin', ['/files'], 'differs'],
  ['//files/admin', ['/files'], 'outside'],
  ['//files/files/x', ['//files'], 'outside'],
  ['/v1/p:batch/a%20b', ['/v1/p:batch'], 'inside'],
  ['/v1/p:batch/..:x/%20', ['/v1/p:batch'], 'differs'],
  ['/files/..%c2%a5admin', ['/files'], 'differs'],
  ['/files/..%f8%80%80%80%afadmin', ['/files'], 'differs'],
  ['/files/%f0%9f%98%ae%f0%9f%98%ae/admin', ['/files'], 'differs'],
  ['/files/....//admin', ['/files'], 'differs'],
  ['/files', ['/files/'], 'outside'],
  ['/files%3Fx', ['/files'], 'outside'],
  ['/filesystem', ['/files'], 'outside'],
])('%s under %j: %s', (path, prefixes, verdict) => {
  expect(judgePath(path, prefixes).verdict).toBe(verdict);
});

test('a refusal says how the path was read', () => {
  expect(judgePath('/files/..%2fadmin', ['/files'])).toMatchObject({
    verdict: 'differs',
    when: 'its dot segments are resolved',
  });
});

const PIECES = [
  ...[
    '.',
    '..',
    '...',
    '%2e',
    '%2E%2e',
    '%252e',
    '%25252e',
    '%c0%ae',
    '%e0%80%ae',
    '%C4%AE',
    '%ef%bc%8e',
    '%ae',
    '.%00.',
  ],
  ...['/', '//', '%2f', '%2F', '%252f', '%5c', '%255c', '%c0%af', '%c1%9c', '%ef%bc%8f', '%e2%88%95', '%C4%AF'],
  ...[
    ';',
    ';x=1',
    '%3b',
    '%253b',
    '?',
    '%3f',
    '%23',
    '%00',
    '%0a',
    '%0d%0a',
    '%09',
    '%20',
    '%20%20',
    '+',
    '%c2%a0',
    '%7f',
  ],
  ...[
    '%e2%80%8b',
    '%e2%80%ae',
    '%c2%ad',
    '%ff',
    '%',
    '%u002e',
    '%25u002e',
    '%uff0e',
    '%25',
    'a',
    'admin',
    ...[':', '%3a', '%f8%80%80%80%af', '%e2%81%84', '%c2%a5', '%f0%9f%98%ae', '....//'],
    'public',
    '~',
    ':',
  ],
];
const path = fc
  .tuple(
    fc.constantFrom('/public/', '/public', '/', '/public/a/', '/public/a/b/'),
    fc.array(fc.constantFrom(...PIECES), { maxLength: 9 }),
  )
  .map(([start, pieces]) => start + pieces.join(''));

test('what may pass lies under its prefix for every reader: by the grammar of exact paths', () => {
  let passed = 0;
  fc.assert(
    fc.property(path, (one) => {
      if (!passes(one, 'exact') || judgePath(one, ['/public']).verdict !== 'inside') return;
      passed += 1;
      expect(readersOutside(one, '/public')).toEqual([]);
    }),
    { numRuns: 10_000, seed },
  );
  expect(passed).toBeGreaterThan(150);
});

test('what may pass lies under its prefix for every reader: by the strict grammar', () => {
  let passed = 0;
  fc.assert(
    fc.property(path, (one) => {
      if (!passes(one, 'strict') || !pathUnder(one, '/public')) return;
      passed += 1;
      expect(readersOutside(one, '/public')).toEqual([]);
    }),
    { numRuns: 10_000, seed },
  );
  expect(passed).toBeGreaterThan(30);
});

/** Known traversals, each in several places under a prefix. */
function traversals(): string[] {
  const lines = hasShared ? readSharedText('corpora/paths/traversal-unique.txt').split('\n').filter(Boolean) : [];
  const own = hasShared ? readShared<string[]>('corpora/paths/own-paths.json') : [];
  const placed = lines.flatMap((line) => [`/app/${line}`, `/app/a/b/${line}`, `/app${line}`]);
  return [...HOSTILE_PATHS, ...own, ...placed];
}

test('no known traversal that may pass leaves its prefix, whoever reads it', () => {
  const all = traversals();
  const inside = all.filter((one) => passes(one, 'exact') && judgePath(one, ['/app']).verdict === 'inside');
  const outside = inside.filter((one) => readersOutside(one, '/app').length > 0);
  expect(outside).toEqual([]);
  expect(inside.length).toBeGreaterThan(0);
});

test('a path that can be read in ever more ways is refused, and costs little', () => {
  const hostile = `/public/${'%252e%253b+%20%5c%c0%ae%e2%80%8b;a//'.repeat(200)}`;
  expect(judgePath(hostile, ['/public']).verdict).toBe('differs');
  expect(judgePath(`/public/${'a%20'.repeat(15_000)}`, ['/public']).verdict).toBe('differs');
  expect(judgePath(`/public/${'a'.repeat(60_000)}`, ['/public']).verdict).toBe('inside');
  expect(judgePath(`/public/${'.'.repeat(60_000)}/`, ['/public']).verdict).toBe('differs');
});

test('many prefixes cost a look each: no step reads the plain ones', () => {
  const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) });
  const plain = text.filter((prefix) => !/[%:]/.test(prefix));
  const along = READING_STEPS.filter(({ ofPrefixes }) => ofPrefixes);
  const same = fc.property(plain, (prefix) => along.every(({ read }) => read(prefix) === prefix));
  fc.assert(same, { seed, numRuns: 300 });
  const spies = along.map((step) => vi.spyOn(step, 'read'));
  const prefixes = ['/a', ...Array.from({ length: 60 }, (_, i) => `/other/${i}`)];
  expect(judgePath('/a/%2541;b+c:d', prefixes).verdict).toBe('inside');
  const read = spies.flatMap(({ mock }) => mock.calls.map(([text]) => text));
  for (const spy of spies) spy.mockRestore();
  expect(read.length).toBeGreaterThan(0);
  expect(read.filter((text) => prefixes.includes(text))).toEqual([]);
});
