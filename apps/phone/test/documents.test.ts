import { expect, test } from 'vitest';
import type { PageFacts } from '../web/messages.ts';
import { attributeOf, fitPolicy, insertAtStart, pageHeaders } from '../web/resource/documents.ts';

const FACTS: PageFacts = { address: 'http://wiki.corp:8080', cookies: [] };
const POLICY = {
  origin: 'https://rabc.phone.example.com',
  shell: 'https://phone.example.com',
  scriptHash: "'sha256-x'",
};

async function inserted(parts: readonly string[]): Promise<string> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });
  return new Response(source.pipeThrough(insertAtStart('<s>')) as ReadableStream<Uint8Array<ArrayBuffer>>).text();
}

test.each([
  ['<!doctype html><html lang=en><head>', '<!doctype html><s><html lang=en><head>'],
  ['\n <!-- first --> <!DOCTYPE html SYSTEM "x">\n<p>', '\n <!-- first --> <!DOCTYPE html SYSTEM "x"><s>\n<p>'],
  ['<!-- <head> --><!doctype html><b>', '<!-- <head> --><!doctype html><s><b>'],
  ['<html>', '<s><html>'],
  ['text only', '<s>text only'],
  ['', '<s>'],
  ['\ufeff<!doctype html><p>ü', '\ufeff<!doctype html><s><p>ü'],
  ['<!-- never closed', '<s><!-- never closed'],
])('our script stands first in %j, behind the doctype', async (text, expected) => {
  // The decoder of a Response takes a byte order mark away.
  expect(await inserted([text])).toBe(expected.replace(/^\ufeff/, ''));
  expect(await inserted([...text])).toBe(expected.replace(/^\ufeff/, ''));
});

test('what our script is told stands in ASCII, whatever the charset of the document is', () => {
  const told = { ...FACTS, cookies: [{ name: 'ü', value: '<"&5 € 🙂', path: '/' }] };
  const attribute = attributeOf(told);
  expect(attribute).toMatch(/^[ -~]+$/);
  expect(attribute).not.toMatch(/["<]/);
  const unescaped = attribute.replaceAll('&lt;', '<').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  expect(JSON.parse(unescaped)).toEqual(told);
});

test("a long beginning is not waited for, and a page's bytes are kept", async () => {
  const long = `<!-- ${'x'.repeat(10_000)} --><p>`;
  expect((await inserted([long])).replace('<s>', '')).toBe(long);
});

test.each([
  ["default-src 'self'", "default-src 'self'; script-src 'self' 'sha256-x'"],
  ["script-src 'self' 'unsafe-inline'", "script-src 'self' 'unsafe-inline'"],
  ["script-src 'nonce-1' 'unsafe-inline'", "script-src 'nonce-1' 'unsafe-inline' 'sha256-x'"],
  ["script-src 'none'", "script-src 'sha256-x'"],
  ['img-src https://wiki.corp:8080/images', "img-src https://wiki.corp:8080/images 'self'"],
  ['img-src https://wiki.corp', 'img-src https://wiki.corp'],
  ["frame-ancestors 'none'; report-uri /csp; upgrade-insecure-requests", ''],
  ['sandbox allow-scripts', 'sandbox allow-scripts'],
  ["require-trusted-types-for 'script'; trusted-types a", "require-trusted-types-for 'script'; trusted-types a"],
  ["IMG-SRC a; img-src b;; connect-src 'self'", "img-src a; connect-src 'self'"],
])('the policy %j of a resource becomes %j', (policy, expected) => {
  expect(fitPolicy(policy, FACTS, "'sha256-x'")).toBe(expected);
});

test('nothing in an answer steers the browser past our policy', () => {
  const headers = pageHeaders(
    [
      ['content-security-policy', 'default-src *; script-src *'],
      ['x-frame-options', 'DENY'],
      ['reporting-endpoints', 'default="https://outside.example"'],
      ['report-to', '{}'],
      ['nel', '{}'],
      ['speculation-rules', '"/rules"'],
      ['clear-site-data', '"*"'],
      ['referrer-policy', 'unsafe-url'],
      ['connection-allowlist', '("*")'],
      ['service-worker-allowed', '/'],
      ['link', '<https://outside.example>; rel=preconnect'],
      ['link', '</page/2>; rel="next"'],
      ['content-type', 'text/html'],
    ],
    FACTS,
    POLICY,
  );
  const [ours] = headers.get('content-security-policy')!.split(', ');
  expect(ours).toContain("default-src 'self' http://wiki.corp:8080 https://wiki.corp:8080 data: blob:");
  expect(ours).toContain("frame-ancestors 'self' https://phone.example.com");
  expect(ours).not.toContain('*');
  expect([...headers.keys()].sort()).toEqual([
    'connection-allowlist',
    'content-security-policy',
    'content-type',
    'cross-origin-resource-policy',
    'link',
    'origin-agent-cluster',
    'referrer-policy',
    'x-dns-prefetch-control',
  ]);
  expect(headers.get('link')).toBe('</page/2>; rel="next"');
  expect(headers.get('referrer-policy')).toBe('same-origin');
  expect(headers.get('connection-allowlist')).toMatch(/^\("https:\/\/rabc\.phone\.example\.com" .*webrtc=block$/);
});
