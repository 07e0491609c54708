import { expect, test } from 'vitest';
import { CookieJars } from '../web/shell/cookie-jars.ts';
import type { Keeping } from '../web/shell/keeping.ts';
import { passwordRealm } from '../web/shell/passwords.ts';
import { readAddress, readPlace } from '../web/shell/places.ts';

function memoryKeeping(): Keeping {
  const kept = new Map<string, string>();
  return {
    load: async (name) => kept.get(name),
    store: async (name, text) => void kept.set(name, text),
    remove: async (name) => void kept.delete(name),
  };
}

async function takeAll(jars: CookieJars, texts: readonly string[], http = true): Promise<void> {
  for (const text of texts) await jars.take('wiki.corp:8080', text, { path: '/a/b', http });
}

test('cookies stay with the authority that set them', async () => {
  const jars = new CookieJars(memoryKeeping());
  await takeAll(jars, ['one=1', 'wide=2; Domain=corp; Path=/', 'other=3; Domain=office.corp; Path=/', 'up=4; Path=/']);
  expect(await jars.header('wiki.corp:8080', '/a/c', 'strict')).toBe('one=1; wide=2; up=4');
  expect(await jars.header('wiki.corp:8080', '/', 'strict')).toBe('wide=2; up=4');
  for (const authority of ['wiki.corp', 'office.corp', 'corp', 'x.wiki.corp:8080'])
    expect(await jars.header(authority, '/a/b', 'strict'), authority).toBe('');
});

test('attributes hold: strict, secure, prefixes, ends; scripts neither see nor replace HttpOnly ones', async () => {
  const jars = new CookieJars(memoryKeeping());
  await takeAll(jars, [
    's=1; SameSite=Strict; Path=/',
    'l=2; SameSite=Lax; Path=/; Secure',
    '__Host-h=3; Secure; Path=/; HttpOnly',
    '__Host-wide=4; Secure; Path=/; Domain=wiki.corp',
    '__Secure-plain=5; Path=/',
    'over=6; Max-Age=0; Path=/',
  ]);
  await takeAll(jars, ['__Host-h=stolen; Secure; Path=/', 'hidden=7; HttpOnly; Path=/', 'mine=8; Path=/'], false);
  expect(await jars.header('wiki.corp:8080', '/', 'strict')).toBe('s=1; l=2; __Host-h=3; mine=8');
  expect(await jars.header('wiki.corp:8080', '/', 'lax')).toBe('l=2; __Host-h=3; mine=8');
  expect((await jars.visible('wiki.corp:8080')).map(({ name }) => name)).toEqual(['s', 'l', 'mine']);
});

test('what scripts write beyond ASCII goes out as UTF-8, and they read as that what a server has set', async () => {
  const jars = new CookieJars(memoryKeeping());
  await takeAll(jars, ['set=J\xc3\xbcrgen; Path=/']);
  await takeAll(jars, ['price=5 €; Path=/', 'whose=Łukasz 🙂; Path=/', 'never=a\x7fb; Path=/'], false);
  const sent = await jars.header('wiki.corp:8080', '/', 'strict');
  expect(Buffer.from(sent, 'latin1').toString()).toBe('set=Jürgen; price=5 €; whose=Łukasz 🙂');
  expect((await jars.visible('wiki.corp:8080')).map(({ value }) => value)).toEqual(['Jürgen', '5 €', 'Łukasz 🙂']);
});

test('a byte that ends letters is no space around a cookie', async () => {
  const keeping = memoryKeeping();
  const jars = new CookieJars(keeping);
  await takeAll(jars, ['town=KO\xc5\xa0; Path=/', 'latin=\xa0x\xa0 ; Path=/']);
  await takeAll(jars, ['there=voilà', 'Р=1; Path=/', 'both= à;Path=/'], false);
  const sent = 'town=KO\xc5\xa0; latin=\xa0x\xa0; \xd0\xa0=1; both=\xc3\xa0';
  for (const each of [jars, new CookieJars(keeping)])
    expect(await each.header('wiki.corp:8080', '/', 'strict')).toBe(sent);
  const seen = (await jars.visible('wiki.corp:8080')).map(({ name, value }) => `${name}=${value}`);
  expect(seen).toEqual(expect.arrayContaining(['town=KOŠ', 'there=voilà', 'Р=1', 'both=à']));
});

test('they are there after a restart, and gone when they are forgotten', async () => {
  const keeping = memoryKeeping();
  await takeAll(new CookieJars(keeping), ['kept=1; Path=/']);
  const again = new CookieJars(keeping);
  expect(await again.header('wiki.corp:8080', '/', 'strict')).toBe('kept=1');
  await again.forget();
  expect(await new CookieJars(keeping).header('wiki.corp:8080', '/', 'strict')).toBe('');
});

test('what is over is not seen; a resource that sets ever more keeps the newest', async () => {
  const keeping = memoryKeeping();
  const jars = new CookieJars(keeping);
  await takeAll(jars, ['over=1; Path=/', 'over=; Max-Age=0; Path=/', `long=${'x'.repeat(9_000)}; Path=/`]);
  expect(await jars.visible('wiki.corp:8080')).toEqual([]);
  await takeAll(
    jars,
    Array.from({ length: 400 }, (_, i) => `c${i}=1; Path=/`),
    false,
  );
  const names = (await jars.visible('wiki.corp:8080')).map(({ name }) => name);
  expect(names).toHaveLength(180);
  expect(names).toContain('c399');
  expect(names).not.toContain('c9');
});

test('a cookie that is on its way into the store is forgotten too', async () => {
  const kept = memoryKeeping();
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow: Keeping = { ...kept, store: (name, text) => held.then(() => kept.store(name, text)) };
  const jars = new CookieJars(slow);
  const taken = jars.take('wiki.corp', 'late=1; Path=/', { path: '/', http: true });
  await new Promise((resolve) => setImmediate(resolve));
  const forgotten = jars.forget();
  release();
  await Promise.all([taken, forgotten]);
  expect(await new CookieJars(kept).header('wiki.corp', '/', 'strict')).toBe('');
});

test('a password is asked for when a backend wants one, and for nothing else', () => {
  const asks = (status: number, value: string) => passwordRealm({ status, fields: [['www-authenticate', value]] });
  expect(asks(401, 'Basic realm="Vault"')).toBe('Vault');
  expect(asks(401, 'basic')).toBe('');
  expect([asks(401, 'Negotiate'), asks(401, 'Digest realm="x"'), asks(200, 'Basic realm="x"')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test('addresses are read as people write them, and nothing else is one', () => {
  expect(readAddress(' wiki.corp/news?x=1 ')?.href).toBe('http://wiki.corp/news?x=1');
  expect(readAddress('https://wiki.corp')?.href).toBe('https://wiki.corp/');
  for (const text of ['', 'two words', 'http://', 'javascript:alert(1)']) {
    const url = readAddress(text);
    expect(url === undefined || url.protocol === 'http:', text).toBe(true);
  }
  expect(readPlace('#/http://wiki.corp/a')?.href).toBe('http://wiki.corp/a');
  for (const hash of ['', '#', '#/', '#/javascript:1', '#p2F2AWJyc1gg', '#/http:', '#/httpx://a'])
    expect(readPlace(hash), hash).toBeUndefined();
});
