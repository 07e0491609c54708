import { expect, test } from 'vitest';
import { type ProxyLink, ProxyLinks } from '../../src/farm/proxy-links.ts';

function scene() {
  const clock = { now: 0 };
  const links = new ProxyLinks(() => clock.now);
  const sent: { link: ProxyLink; message: { id: number } }[] = [];
  const link = (proxy: string): ProxyLink => {
    const made: ProxyLink = {
      ...{ proxy, keyHash: `key of ${proxy}` },
      send: (message) => void sent.push({ link: made, message: message as { id: number } }),
    };
    links.add(made);
    return made;
  };
  return { clock, links, sent, link };
}

const row = (name: string, keyHash = `key of ${name}`) => ({ name, keyHash, nextKeyHash: null });
const BACKEND = { authority: 'wiki.corp', backend: { url: 'https://wiki.example', networks: [] } };

test('what a Proxy says of backends is in the words of the status until it says otherwise, or is silent', () => {
  const { clock, links } = scene();
  links.told('p1', [{ resource: 'wiki', reason: 'certificate' }]);
  expect(links.words()).toEqual(['the backend of wiki fails at Proxy p1: its certificate is not trusted (--ca)']);
  links.told('p1');
  expect(links.words()).toEqual([]);
  links.told('p1', [{ resource: 'wiki', reason: 'port' }]);
  clock.now = 16_000;
  expect(links.words()).toEqual([]);
});

test('an answer that breaks a rule is not said to be another protocol', () => {
  const { links } = scene();
  links.told('p1', [{ resource: 'wiki', reason: 'protocol' }]);
  expect(links.words()[0]).toMatch(
    /its answers are not HTTP as the resource has it \(--http\); the log of the Proxy names the rule$/,
  );
});

test('a Proxy that complains of everything hides nothing that another one says', () => {
  const { links } = scene();
  links.told(
    'loud',
    Array.from({ length: 32 }, (_, i) => ({ resource: `r${i}`, reason: 'port' as const })),
  );
  links.told('p1', [{ resource: 'wiki', reason: 'certificate' }]);
  expect(links.words()).toHaveLength(32);
  expect(links.words()[1]).toContain('wiki fails at Proxy p1');
});

test('Proxies that serve it try a backend, and no other hears of it; one that goes away meanwhile gave no answer, and nobody answers for another one', async () => {
  const { links, sent, link } = scene();
  const [one, two] = [link('p1'), link('p2')];
  for (const other of ['of another site', 'replaced']) link(other);
  const trial = links.try(BACKEND, [row('p1'), row('p2'), row('replaced', 'another key')]);
  expect(sent.map(({ message }) => message)).toMatchObject([
    { type: 'try', authority: 'wiki.corp', backend: BACKEND.backend },
    { type: 'try' },
  ]);
  const [first, second] = sent.map(({ message }) => message.id) as [number, number];
  links.tried(two, { type: 'tried', id: first, ok: true, detail: 'forged', ms: 1 });
  links.tried(one, { type: 'tried', id: first, ok: false, reason: 'name', detail: 'ENOTFOUND', ms: 3 });
  links.tried(one, { type: 'tried', id: second, ok: true, detail: 'forged', ms: 1 });
  links.remove(two);
  expect(await trial).toEqual([
    { proxy: 'p1', ok: false, reason: 'name', detail: 'ENOTFOUND', ms: 3 },
    expect.objectContaining({ proxy: 'p2', ok: false, detail: 'the Proxy gave no answer' }),
  ]);
  expect(await new ProxyLinks(() => 0).try(BACKEND, [row('p1')])).toEqual([]);
});
