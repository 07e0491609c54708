import type { Field } from '@sallyport/channel';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Facing, mappedFields } from '../src/streams/answered-fields.ts';

/** A resource `hb.example` of a user's browser, and its backend. */
function facing(over: Partial<Facing> = {}): Facing {
  return {
    scheme: 'http',
    authority: 'hb.example',
    path: '/start',
    urls: ['https://10.1.2.3:9001'],
    prefix: '',
    isResource: () => false,
    ...over,
  };
}

function mapped(field: Field, over: Partial<Facing> = {}): string | undefined {
  return mappedFields([field], facing(over))[0]?.[1];
}

const HTTP = ['http://10.1.2.3:9001'];
const HTTPS = ['https://10.1.2.3'];

test.each<[location: string, expected: string, over: Partial<Facing>]>([
  // The backend by its own address.
  ['http://10.1.2.3:9001/home', 'http://hb.example/home', { urls: HTTP }],
  ['http://10.1.2.3:9001/home', 'https://hb.example/home', { urls: HTTP, scheme: 'https' }],
  ['https://10.1.2.3:9001/home?a=b#c', 'http://hb.example/home?a=b#c', {}],
  ['HTTPS://10.1.2.3:9001', 'http://hb.example/', {}],
  ['//10.1.2.3:9001/home', 'http://hb.example/home', {}],
  ['https://10.1.2.3/home', 'http://hb.example/home', { urls: HTTPS }],
  ['https://10.1.2.3:443/home', 'http://hb.example/home', { urls: HTTPS }],
  ['https://app.internal?x=1', 'http://hb.example/?x=1', { urls: ['https://app.internal'] }],
  ['https://APP.internal./x', 'http://hb.example/x', { urls: ['https://app.internal'] }],
  ['https://[fd00::1]:8443/x', 'http://hb.example/x', { urls: ['https://[fd00::1]:8443'] }],
  ['https://10.1.2.4:9001/x', 'http://hb.example/x', { urls: ['https://10.1.2.3:9001', 'https://10.1.2.4:9001'] }],
  ['https://10.1.2.3:9001/x', 'http://hb.example:8080/x', { authority: 'hb.example:8080' }],
  // The backend by the name that it is asked by, and its own scheme or port.
  ['https://hb.example/home', 'http://hb.example/home', { urls: HTTPS }],
  ['https://hb.example:9001/index.html', 'http://hb.example/index.html', {}],
  ['http://hb.example/home', 'https://hb.example/home', { urls: HTTP, scheme: 'https' }],
  ['https://hb.example/home', 'https://hb.example/home', { urls: HTTPS, scheme: 'https' }],
  // Meant as it is: the other scheme, not the backend's own one.
  ['https://hb.example/home', 'https://hb.example/home', { urls: HTTP }],
  ['http://hb.example/plain', 'http://hb.example/plain', { urls: HTTPS, scheme: 'https' }],
  // Back to what was asked for would be a circle: the backend wants the other scheme.
  ['https://hb.example/start', 'https://hb.example/start', { urls: HTTPS }],
  ['https://hb.example/start#there', 'https://hb.example/start#there', { urls: HTTPS }],
  ['https://hb.example/start', 'http://hb.example/start', { urls: HTTPS, path: undefined }],
  ['https://10.1.2.3:9001/start', 'http://hb.example/start', {}],
  // Another resource of the user stands there.
  ['https://10.1.2.3:9001/x', 'https://10.1.2.3:9001/x', { isResource: (other) => other === '10.1.2.3:9001' }],
  ['https://hb.example:9001/x', 'https://hb.example:9001/x', { isResource: (other) => other === 'hb.example:9001' }],
  // Behind the prefix a path would read as a host.
  ['/app//evil.example/x', 'http://hb.example//evil.example/x', { prefix: '/app' }],
  ['/app/\\evil.example', 'http://hb.example/\\evil.example', { prefix: '/app' }],
  // Relative to what was asked for.
  ['/home', '/home', {}],
  ['home?x', 'home?x', {}],
  ['?x', '?x', {}],
  ['', '', {}],
  // Somebody else's.
  ['https://other.example/10.1.2.3:9001', 'https://other.example/10.1.2.3:9001', {}],
  ['https://10.1.2.3:9002/x', 'https://10.1.2.3:9002/x', {}],
  ['https://10.1.2.3/x', 'https://10.1.2.3/x', {}],
  ['https://10.1.2.3:9001@other.example/', 'https://10.1.2.3:9001@other.example/', {}],
  ['https://10.1.2.3:9001\\@other.example/', 'https://10.1.2.3:9001\\@other.example/', {}],
  ['https://10.1.2.3:9001.other.example/', 'https://10.1.2.3:9001.other.example/', {}],
  ['https://other.example:9001/', 'https://other.example:9001/', {}],
  ['https://hb.example.other:9001/', 'https://hb.example.other:9001/', {}],
  ['ftp://10.1.2.3:9001/x', 'ftp://10.1.2.3:9001/x', {}],
  ['https:10.1.2.3:9001/x', 'https:10.1.2.3:9001/x', {}],
  ['https://10.1.2.3:99001/x', 'https://10.1.2.3:99001/x', {}],
  ['//other.example/x', '//other.example/x', {}],
  // Under a path of the backend.
  ['/app/home', '/home', { prefix: '/app' }],
  ['/app', '/', { prefix: '/app' }],
  ['/app?x', '/?x', { prefix: '/app' }],
  ['/application', '/application', { prefix: '/app' }],
  ['https://10.1.2.3:9001/app/home', 'http://hb.example/home', { prefix: '/app' }],
  ['https://10.1.2.3:9001/login', 'https://10.1.2.3:9001/login', { prefix: '/app' }],
  ['/app/start', '/start', { prefix: '/app' }],
])('Location %s becomes %s', (location, expected, over) => {
  expect(mapped(['location', location], over)).toBe(expected);
  if (over.path === undefined && location !== expected)
    expect(mapped(['content-location', location], over)).toBe(expected);
});

test.each([
  ['5; url=https://10.1.2.3:9001/next', '5; url=http://hb.example/next'],
  ['0;URL="https://10.1.2.3:9001/next"', '0;URL="http://hb.example/next"'],
  ["0, url = 'https://10.1.2.3:9001/a'; more", "0, url = 'http://hb.example/a'; more"],
  ['1.5;https://10.1.2.3:9001/next', '1.5;http://hb.example/next'],
  ['5; url=https://other.example/next', '5; url=https://other.example/next'],
  ['5; url=/next', '5; url=/next'],
  ['5', '5'],
  ['https://10.1.2.3:9001/next', 'https://10.1.2.3:9001/next'],
])('Refresh %s becomes %s', (value, expected) => {
  expect(mapped(['refresh', value])).toBe(expected);
});

const APP = { urls: ['http://app.internal.corp:8080'], authority: 'wiki.example' };
test.each<[cookie: string, expected: string, over?: Partial<Facing>]>([
  ['a=b; Domain=app.internal.corp; Secure', 'a=b; Domain=wiki.example; Secure'],
  ['a=b;domain=.APP.internal.corp', 'a=b; Domain=wiki.example'],
  // Wider than the backend: as wide as the resource, no wider.
  ['a=b; Domain=internal.corp; Path=/', 'a=b; Domain=wiki.example; Path=/'],
  ['a=b; Domain=wiki.example', 'a=b; Domain=wiki.example'],
  ['a=b; Domain=example', 'a=b; Domain=example'],
  ['a=b; Domain=other.corp', 'a=b; Domain=other.corp'],
  ['a=b; Domain=pp.internal.corp', 'a=b; Domain=pp.internal.corp'],
  ['a=b; Domain=', 'a=b; Domain='],
  ['Domain=app.internal.corp; HttpOnly', 'Domain=app.internal.corp; HttpOnly'],
  ['__Host-a=b; Path=/; Secure', '__Host-a=b; Path=/; Secure'],
  // Where a host cannot be a domain, a cookie without one is for the same host.
  ['a=b; Domain=app.internal.corp; Secure', 'a=b; Secure', { authority: 'wiki' }],
  ['a=b; Domain=app.internal.corp; Secure', 'a=b; Secure', { authority: '10.1.2.3:81' }],
  ['a=b; Domain=10.1.2.3', 'a=b; Domain=wiki.example', { urls: ['http://10.1.2.3'] }],
  ['a=b; Domain=2.3', 'a=b; Domain=2.3', { urls: ['http://10.1.2.3'] }],
  ['a=b; Path=/app/x; Secure', 'a=b; Path=/x; Secure', { prefix: '/app' }],
  ['a=b; path=/app', 'a=b; Path=/', { prefix: '/app' }],
  ['a=b; Path=/', 'a=b; Path=/', { prefix: '/app' }],
])('Set-Cookie %s becomes %s', (cookie, expected, over = {}) => {
  expect(mapped(['set-cookie', cookie], { ...APP, ...over })).toBe(expected);
});

test('every other field stays, and so does the order', () => {
  const fields: Field[] = [
    ['link', '<https://10.1.2.3:9001/a>; rel=next'],
    ['set-cookie', 'a=1'],
    ['location', 'https://10.1.2.3:9001/home'],
    ['set-cookie', 'b=2; Domain=x.example'],
  ];
  expect(mappedFields(fields, facing())).toEqual([
    ['link', '<https://10.1.2.3:9001/a>; rel=next'],
    ['set-cookie', 'a=1'],
    ['location', 'http://hb.example/home'],
    ['set-cookie', 'b=2; Domain=x.example'],
  ]);
});

test('no text makes a browser that would go elsewhere go to the resource, or the other way round', () => {
  const part = fc.constantFrom(
    ...['http', 'https', ':', '/', '//', '\\', '@', '?', '#', '.', ':9001', ':443', '%40', '\t', ' '],
    ...['10.1.2.3', 'hb.example', 'other.example', 'x', '[', ']'],
  );
  const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
  const base = 'http://hb.example/start';
  // A reference without a scheme has that of whoever reads it: the user's client, or the backend, which meant its own.
  const originsOf = (location: string): (string | undefined)[] =>
    [base, 'https://hb.example/start'].map((from) => URL.parse(location, from)?.origin.replace(/\.(?=:|$)/, ''));
  const own = new Set<string>([
    'http://hb.example',
    'https://10.1.2.3:9001',
    'http://10.1.2.3:9001',
    'https://hb.example:9001',
  ]);
  own.add('http://hb.example:9001').add('https://hb.example');
  // fast-check prints the seed of a failure.
  fc.assert(
    fc.property(text, (location) => {
      const became = mapped(['location', location])!;
      const before = URL.parse(location, base);
      const after = URL.parse(became, base);
      if (became === location) return;
      expect(originsOf(location).some((origin) => own.has(origin ?? ''))).toBe(true);
      expect(before?.username).toBe('');
      expect(after?.origin).toBe('http://hb.example');
      expect([after?.pathname, after?.search]).toEqual([before?.pathname, before?.search]);
    }),
    { numRuns: 20_000 },
  );
});

test('what a backend writes costs time by its length, not by its square', () => {
  const many = ' '.repeat(60_000);
  const hostile: Field[] = [
    ['set-cookie', `a=b;${many}x`],
    ['set-cookie', `a=b; x =${many}x`],
    ['set-cookie', `a=b; domain${many}x`],
    ['set-cookie', 'a=b;'.repeat(15_000)],
    ['refresh', `5${many}x`],
    ['refresh', `5;${many}x`],
    ['refresh', `5; url${many}x`],
    ['location', `//${'a.'.repeat(30_000)}:x`],
    ['content-location', `http://${'a'.repeat(60_000)}`],
  ];
  // Well under a second; a square would take minutes, and the test its time.
  for (let i = 0; i < 40; i++) expect(mappedFields(hostile, facing())).toEqual(hostile);
});
