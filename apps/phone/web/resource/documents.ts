import type { PageFacts } from '../messages.ts';

/** Fields of a response that steer the browser in ways that are ours, or that would reach past the gateway. */
const NOT_PASSED: ReadonlySet<string> = new Set([
  'set-cookie',
  'content-security-policy',
  'content-security-policy-report-only',
  'x-frame-options',
  'clear-site-data',
  'connection-allowlist',
  'connection-allowlist-report-only',
  'reporting-endpoints',
  'report-to',
  'nel',
  'speculation-rules',
  'origin-agent-cluster',
  'cross-origin-opener-policy',
  'cross-origin-opener-policy-report-only',
  'cross-origin-embedder-policy-report-only',
  'cross-origin-resource-policy',
  'permissions-policy',
  'referrer-policy',
  'service-worker-allowed',
  'x-dns-prefetch-control',
]);
/** Links of a response that would make the browser connect or load ahead. */
const LOADING_LINK = /preconnect|prefetch|preload|prerender|stylesheet/i;

/** What a document is shown with. */
export interface DocumentPolicy {
  /** Origin at which the resource is shown. */
  readonly origin: string;
  /** Origin of the shell, the only one that may frame it. */
  readonly shell: string;
  /** `'sha256-…'` of our script. */
  readonly scriptHash: string;
}

type HeaderPairs = readonly (readonly [string, string])[];

/**
 * Fields of a response as its page gets them: the resource's own content policies stay, fitted to the origin that it has here, and
 * one of ours comes on top, by which nothing is loaded from, sent to, or opened at another place than the resource itself.
 */
export function pageHeaders(fields: HeaderPairs, facts: PageFacts, policy: DocumentPolicy): Headers {
  const headers = new Headers();
  for (const [name, value] of fields) if (passes(name, value)) headers.append(name, value);
  headers.append('content-security-policy', ownPolicy(facts, policy.shell));
  for (const [name, value] of fields) {
    if (name !== 'content-security-policy') continue;
    for (const one of value.split(',')) {
      const fitted = fitPolicy(one, facts, policy.scriptHash);
      if (fitted !== '') headers.append('content-security-policy', fitted);
    }
  }
  // What no content policy forbids: connections made ahead, and WebRTC (WICG Connection Allowlists; Chromium since 152).
  const reached = [policy.origin, ...ownAddresses(facts)].map((origin) => `"${origin}"`).join(' ');
  headers.set('connection-allowlist', `(${reached});redirects=allow;webrtc=block`);
  headers.set('referrer-policy', 'same-origin');
  headers.set('cross-origin-resource-policy', 'same-origin');
  headers.set('origin-agent-cluster', '?1');
  headers.set('x-dns-prefetch-control', 'off');
  return headers;
}

function passes(name: string, value: string): boolean {
  return !NOT_PASSED.has(name) && !(name === 'link' && LOADING_LINK.test(value));
}

/** Both spellings of the address that a resource's pages may write for themselves; the service worker answers for them. */
function ownAddresses({ address }: PageFacts): readonly string[] {
  const host = address.slice(address.indexOf('//'));
  return [`http:${host}`, `https:${host}`];
}

function ownPolicy(facts: PageFacts, shell: string): string {
  const own = `'self' ${ownAddresses(facts).join(' ')} data: blob:`;
  return [
    `default-src ${own} 'unsafe-inline' 'unsafe-eval'`,
    `script-src ${own} 'unsafe-inline' 'unsafe-eval'`,
    `connect-src ${own}`,
    "frame-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "object-src 'self'",
    "manifest-src 'none'",
    "form-action 'self'",
    "base-uri 'self'",
    `frame-ancestors 'self' ${shell}`,
  ].join('; ');
}

/** Directives of a resource that say who may show it, where it reports to, and that it wants https: none of them fits here. What closes its pages further stays. */
const DROPPED_DIRECTIVES: ReadonlySet<string> = new Set([
  'frame-ancestors',
  'report-uri',
  'report-to',
  'upgrade-insecure-requests',
  'block-all-mixed-content',
]);

/** One content policy of a resource, with its own address as 'self', and with our script allowed. */
export function fitPolicy(text: string, facts: PageFacts, scriptHash: string): string {
  const directives = new Map<string, string[]>();
  for (const part of text.split(';')) {
    const [name = '', ...sources] = part.trim().split(/\s+/);
    if (name !== '' && !directives.has(name.toLowerCase())) directives.set(name.toLowerCase(), sources);
  }
  for (const name of DROPPED_DIRECTIVES) directives.delete(name);
  const host = facts.address.slice(facts.address.indexOf('//') + 2);
  for (const [name, sources] of directives)
    if (sources.some((source) => hostOfSource(source) === host)) directives.set(name, [...sources, "'self'"]);
  allowScript(directives, scriptHash);
  return [...directives].map(([name, sources]) => [name, ...sources].join(' ')).join('; ');
}

function hostOfSource(source: string): string {
  return source.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/, '');
}

/** A hash would switch 'unsafe-inline' off: it is added only where that does not hold anyway. */
function allowScript(directives: Map<string, string[]>, scriptHash: string): void {
  const governing = ['script-src-elem', 'script-src', 'default-src'].find((name) => directives.has(name));
  if (governing === undefined) return;
  const sources = directives.get(governing)!;
  const strict = sources.some((source) => /^'(?:nonce-|sha\d+-|strict-dynamic)/.test(source));
  if (sources.includes("'unsafe-inline'") && !strict) return;
  const kept = sources.filter((source) => source !== "'none'");
  directives.set(governing === 'default-src' ? 'script-src' : governing, [...kept, scriptHash]);
}

/** The longest beginning of a document that is looked at for its doctype, bytes. */
const MAX_PROLOGUE_BYTES = 4_096;
const PROLOGUE = /^(?:ï»¿)?(?:\s+|<!--[\s\S]*?-->)*(?:<!doctype[^>]*>)?/i;

/** JSON for an attribute of markup, in ASCII: documents are in any charset, and what is put into them is read in theirs. */
export function attributeOf(value: object): string {
  return JSON.stringify(value)
    .replaceAll('&', '&amp;')
    .replaceAll('"', '&quot;')
    .replaceAll('<', '&lt;')
    .replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Puts markup at the start of an HTML document, behind its doctype, so that what it begins runs before any script of the page. */
export function insertAtStart(markup: string): TransformStream<Uint8Array, Uint8Array> {
  let held = new Uint8Array();
  let done = false;
  const inserted = new TextEncoder().encode(markup);
  const release = (controller: TransformStreamDefaultController<Uint8Array>): void => {
    done = true;
    const at = prologueLength(held);
    controller.enqueue(held.subarray(0, at));
    controller.enqueue(inserted);
    controller.enqueue(held.subarray(at));
  };
  return new TransformStream({
    transform(part, controller) {
      if (done) return controller.enqueue(part);
      held = joined(held, part);
      if (held.length >= MAX_PROLOGUE_BYTES || isPrologueWhole(held)) release(controller);
    },
    flush(controller) {
      if (!done) release(controller);
    },
  });
}

/** True when a doctype has ended, or something else than a comment or a doctype has begun. */
function isPrologueWhole(bytes: Uint8Array): boolean {
  const text = latin1(bytes);
  const rest = text.slice(prologueLength(bytes));
  return /<!doctype[^>]*>$/i.test(text.slice(0, text.length - rest.length)) || !/^(?:<!|<?$)/.test(rest);
}

function prologueLength(bytes: Uint8Array): number {
  return PROLOGUE.exec(latin1(bytes.subarray(0, MAX_PROLOGUE_BYTES)))![0].length;
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
