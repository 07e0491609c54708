/** What a response says, or why there is none. */
export type SlowResponse =
  | { readonly status: number; readonly fields: readonly (readonly [string, string])[]; readonly body: string }
  | 'refused';

const TOKEN = "[!#$%&'*+\\-.^`|~0-9A-Za-z_]+";
const HEAD = new RegExp(
  `^HTTP/1\\.([01]) ([1-5]\\d\\d)(?: [\\t\\x20-\\x7e\\x80-\\xff]*)?\\r\\n((?:${TOKEN}:[^\\r\\n\\0]*\\r\\n)*)\\r\\n`,
);
const CHUNK = /^([0-9a-fA-F]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n/;
const TRAILERS = new RegExp(`^(?:${TOKEN}:[^\\r\\n\\0]*\\r\\n)*\\r\\n`);

/**
 * The readable twin of `ResponseParser`: takes everything that a backend sent until it closed the connection as one text,
 * and reads it with the grammar of RFC 9112 written down as patterns. Sizes are not bounded here.
 */
export function readSlowly(sent: Buffer, method: string): SlowResponse {
  let text = sent.toString('latin1');
  for (let informational = 0; ; informational++) {
    const [head, minor, code, lines] = HEAD.exec(text) ?? [];
    if (head === undefined || code === '101') return 'refused';
    text = text.slice(head.length);
    if (code!.startsWith('1')) {
      if (informational === 4) return 'refused';
      continue;
    }
    const fields = lines!
      .split('\r\n')
      .slice(0, -1)
      .map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
      });
    if (fields.length > 100) return 'refused';
    const body = bodyOf(text, fields, { method, status: Number(code), old: minor === '0' });
    if (body === 'refused') return body;
    return { status: Number(code), fields: withOneLength(fields, Number(code)), body: body.text };
  }
}

/** The same length twice is one, and a 204 has none. */
function withOneLength(fields: readonly (readonly [string, string])[], status: number): [string, string][] {
  const first = fields.find(([name]) => name === 'content-length');
  return fields
    .filter((field) => field[0] !== 'content-length' || (field === first && status !== 204))
    .map(([name, value]) => [name, value]);
}

function bodyOf(
  rest: string,
  fields: readonly (readonly [string, string])[],
  { method, status, old }: { method: string; status: number; old: boolean },
): { text: string } | 'refused' {
  const valuesOf = (wanted: string): string[] => fields.filter(([name]) => name === wanted).map(([, value]) => value);
  const codings = valuesOf('transfer-encoding');
  const lengths = valuesOf('content-length');
  if (codings.length + new Set(lengths).size > 1) return 'refused';
  if (codings.length === 1 && (old || codings[0]!.toLowerCase() !== 'chunked')) return 'refused';
  if (lengths.length > 0 && !/^(?:0|[1-9]\d{0,15})$/.test(lengths[0]!)) return 'refused';
  if (method === 'HEAD' || status === 204 || status === 304) return rest === '' ? { text: '' } : 'refused';
  if (codings.length === 1) return chunkedBody(rest);
  if (lengths.length === 0) return { text: rest };
  return rest.length === Number(lengths[0]) ? { text: rest } : 'refused';
}

function chunkedBody(framed: string): { text: string } | 'refused' {
  let rest = framed;
  let text = '';
  while (true) {
    const [line, size] = CHUNK.exec(rest) ?? [];
    if (line === undefined) return 'refused';
    rest = rest.slice(line.length);
    const length = Number.parseInt(size!, 16);
    if (length === 0) return TRAILERS.exec(rest)?.[0] === rest ? { text } : 'refused';
    if (rest.slice(length, length + 2) !== '\r\n') return 'refused';
    text += rest.slice(0, length);
    rest = rest.slice(length + 2);
  }
}
